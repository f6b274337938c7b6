"""The guard's answer to a query that it does not let through."""

from sqlglot import exp

MAX_SNIPPET_CHARS = 120


class QueryRefused(ValueError):  # noqa: N818 - a refusal is the guard's normal answer, not a fault
    """A query that the guard refused.

    Attributes:
        reason: stable code, such as `function` or `person_literal`.
        what: what was refused.
        where: the piece of the query, with its line and column where known.
        remedy: what to write instead.
    """

    def __init__(self, reason: str, what: str, remedy: str, at: exp.Expr | str | None = None) -> None:
        self.reason, self.what, self.remedy = reason, what, remedy
        self.where = at if isinstance(at, str) else _place(at)
        super().__init__(f"{what} (at {self.where}); {remedy}" if self.where else f"{what}; {remedy}")


def _place(node: exp.Expr | None) -> str:
    if node is None:
        return ""
    text = " ".join(node.sql("postgres", comments=False).split())
    snippet = text if len(text) <= MAX_SNIPPET_CHARS else text[: MAX_SNIPPET_CHARS - 1] + "…"
    for part in node.walk():
        if "line" in part.meta:
            return f"{snippet}, line {part.meta['line']}, column {part.meta.get('col', 0)}"
    return snippet
