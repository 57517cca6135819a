"""The live service: sources in, picture out, each reader sees what is theirs. Reads the clock, as `cli` does."""
