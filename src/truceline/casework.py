"""What people do about cases: which actions there are, who may take them when, and what they make of a case."""
