"""What the guard writes and says; what it lets through is in the other files of this name."""

import pytest

from flip_trust.data_access.guard import Guard
from flip_trust.data_access.refusal import QueryRefused

P = "SELECT p.person_id FROM omop.person p "


def test_what_is_described(guard: Guard) -> None:
    query = guard(
        "SELECT o.person_id, o.observation_id, o.value_as_string, o.observation_source_value, o.value_as_number, "
        "o.observation_date FROM observation o"
    )
    assert query.described == ("value_as_number", "observation_date")
    assert query.has_person
    assert not query.has_accession


def test_only_the_tree_is_emitted(guard: Guard) -> None:
    query = guard(P + "/* person_id = 42 */ WHERE p.year_of_birth > 1950 -- secret")
    assert "42" not in query.sql
    assert "secret" not in query.sql
    assert '"omop"."person"' in query.sql


def test_a_refusal_says_what_where_and_what_to_do(guard: Guard) -> None:
    with pytest.raises(QueryRefused) as refused:
        guard("SELECT p.person_id\nFROM omop.person p\nWHERE p.person_id = 42")
    text = str(refused.value)
    assert "person_id identifies single people" in text
    assert '"p"."person_id" = 42' in text
    assert "line 3" in text
    assert "compare it with person_id of another table" in text
