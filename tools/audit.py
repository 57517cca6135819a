"""Known vulnerabilities of what is installed here, as pip-audit knows them.

Exit 1 when there is one. Where the advisory service does not answer, or knows none of the packages (a mirror of the
registry answers in its place), that is said, and exit 0: a build does not depend on a service being there.
"""

import json
import subprocess
import sys

#: The service answers for all packages in seconds, or not at all.
LONGEST_S = 180


def main() -> int:
    command = [sys.executable, "-m", "pip_audit", "--format", "json", "--progress-spinner", "off", "--timeout", "10"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LONGEST_S, check=False)
        found = json.loads(done.stdout)["dependencies"]
    except (subprocess.TimeoutExpired, json.JSONDecodeError, KeyError):
        print("audit: the advisory service did not answer; nothing was checked")
        return 0
    checked = [one for one in found if "skip_reason" not in one]
    wrong = [(one, advisory) for one in checked for advisory in one["vulns"]]
    for one, advisory in wrong:
        fixed = ", ".join(advisory["fix_versions"]) or "no version"
        print(f"audit: {one['name']} {one['version']}: {advisory['id']}, mended in {fixed}")
    if not checked:
        print(f"audit: the advisory service knows none of {len(found)} packages here; nothing was checked")
    else:
        print(f"audit: {len(checked)} of {len(found)} packages checked, {len(wrong)} known vulnerabilities")
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main())
