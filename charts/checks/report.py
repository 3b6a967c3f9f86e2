"""One line for each check, and whether all have passed."""

import traceback


class Report:
    def __init__(self):
        self.failed = 0

    def check(self, what: str, problems: list[str]):
        """Says that a check has passed, or with which problems it has not."""
        print(f"{'FAILED' if problems else 'ok    '}  {what}", flush=True)
        for problem in problems:
            print(f"          {problem}")
        self.failed += bool(problems)

    def skip(self, what: str, why: str):
        print(f"skipped {what}: {why}", flush=True)

    def run(self, what: str, check, *args):
        """Runs a check that returns its problems. One that breaks has failed."""
        try:
            self.check(what, check(*args))
        except Exception as error:  # noqa: BLE001 - whatever it is, the others go on
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.check(what, [f"{type(error).__name__} at {where.filename}:{where.lineno}: {error}"])
