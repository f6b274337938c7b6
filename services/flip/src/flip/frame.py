"""The dataframe service's answer as a pandas DataFrame."""

import json
from typing import Any

import pandas as pd

from flip.errors import BadAnswerError

# Types with a missing value need pandas' nullable kind: an int64 column with a gap would silently become float.
_NULLABLE = {"int64": "Int64", "bool": "boolean"}


def to_frame(body: bytes) -> pd.DataFrame:
    """JSON `{"columns": [{"name", "dtype"}], "rows": [[...]]}` as a frame of those columns and dtypes.

    int64 and bool become Int64 and boolean where a value is missing; date and datetime become datetime64.

    Raises:
        BadAnswerError: the answer has another shape or a value does not fit its column.
    """
    try:
        answer = json.loads(body)
        columns = [(str(column["name"]), str(column["dtype"])) for column in answer["columns"]]
        rows = answer["rows"]
        if any(len(row) != len(columns) for row in rows):
            raise ValueError("a row has another length than the list of columns")
        series = [_column([row[index] for row in rows], dtype) for index, (_, dtype) in enumerate(columns)]
    except (KeyError, TypeError, ValueError) as error:
        # The values are patients' data: only the kind of failure goes into the text.
        raise BadAnswerError(f"data-access-api sent a table that cannot be read ({type(error).__name__})") from None
    # By position first: a query may select two columns of one name.
    frame = pd.concat(series, axis=1) if series else pd.DataFrame()
    frame.columns = pd.Index([name for name, _ in columns])
    return frame


def _column(values: list[Any], dtype: str) -> "pd.Series[Any]":
    missing = any(value is None for value in values)
    if dtype in _NULLABLE:
        return pd.Series(values, dtype=_NULLABLE[dtype] if missing else dtype)
    if dtype == "float64":
        return pd.Series(values, dtype="float64")
    if dtype == "string":
        return pd.Series(values, dtype="string")
    if dtype == "date":
        return pd.Series(pd.to_datetime(pd.Series(values, dtype="object"), format="%Y-%m-%d"))
    if dtype == "datetime":
        return pd.Series(pd.to_datetime(pd.Series(values, dtype="object"), format="ISO8601"))
    raise ValueError(f"unknown dtype {dtype}")
