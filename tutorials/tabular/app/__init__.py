"""A model of OMOP data, without imaging."""
