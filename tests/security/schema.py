"""Schemathesis against a real system's /openapi.json: all checks, examples, edge cases, random data, call sequences.

`python -m tests.security.schema EXAMPLES` is a long run with a random seed; test_schema.py makes a bounded one in CI,
with a fixed seed.
"""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.flow.system import System, mails

HERE = Path(__file__).parent
PHASES = "examples,coverage,fuzzing"


def check(
    url: str, examples: int, *more: str, seed: int | None = None, phases: str = PHASES, seconds: float = 3600
) -> tuple[int, str]:
    """Run schemathesis once; return its exit code and report."""
    command = [
        Path(sys.executable).with_name("schemathesis"),
        "--config-file",
        HERE / "schemathesis.toml",
        "run",
        f"{url}/openapi.json",
    ]
    options = [
        "--checks",
        "all",
        "--phases",
        phases,
        "--max-examples",
        str(examples),
        "--continue-on-failure",
        "--no-color",
    ]
    options += ["--warnings", "off", "--workers", "2", "--request-timeout", "20"] + (
        ["--seed", str(seed)] if seed is not None else []
    )
    options += more
    with tempfile.TemporaryDirectory(prefix="ep-schema-") as folder:  # it leaves its examples where it runs
        done = subprocess.run(
            [*map(str, command), *options],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
            env=dict(os.environ),
        )
    return done.returncode, done.stdout + done.stderr


def filled(system: System) -> System:
    """Fill the system with things to find: results and odd ids."""
    odd = [
        {"id": name, "subject": f"About {name}", "body": "50 % off, today only"} for name in ("1", "a/b", "\u00fc", "'")
    ]
    system.send(*mails(20), *odd)
    system.settle(24)
    return system


def main(argv: list[str]) -> int:
    """Make a long run."""
    with tempfile.TemporaryDirectory(prefix="ep-schema-") as folder:
        system = System(Path(folder) / "data", {"PROCESSOR_PROCESSES": "0"})
        try:
            filled(system.start())
            kept = r"/(tasks/\{task_id\}|dead-letters/\{letter_id\}|emails/\{email_id\}.*)$"  # DELETE cancels, discards, undoes
            runs = [
                check(system.url, int(argv[0])),
                check(system.url, int(argv[0]), "--exclude-checks", "use_after_free", phases="stateful"),
                check(system.url, int(argv[0]), "--exclude-path-regex", kept, phases="stateful"),
            ]
        finally:
            system.stop()
    sys.stdout.write("\n".join(report for _, report in runs))
    if "Traceback" in system.log():
        sys.stdout.write(f"the server's log has a traceback:\n{system.log()}")
        return 1
    return max(code for code, _ in runs)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
