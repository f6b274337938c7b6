"""data-access-api: the trust's OMOP database, seen only through guarded, read-only, disclosure-controlled queries."""
