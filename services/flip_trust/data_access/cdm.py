"""Columns of the OMOP CDM 5.4, of its medical imaging extension (MI-CDM), and the accession that links both to a PACS.

A query reads these and no others: what a site has added to a table is unknown to this release, and may identify people.
Source: OHDSI CommonDataModel 5.4 (DDL for PostgreSQL) and OHDSI MI-CDM; tables that no query may read are left out.
"""

from collections.abc import Mapping
from types import MappingProxyType

_COLUMNS = """
care_site: care_site_id care_site_name place_of_service_concept_id location_id care_site_source_value
    place_of_service_source_value
concept: concept_id concept_name domain_id vocabulary_id concept_class_id standard_concept concept_code
    valid_start_date valid_end_date invalid_reason
concept_ancestor: ancestor_concept_id descendant_concept_id min_levels_of_separation max_levels_of_separation
concept_class: concept_class_id concept_class_name concept_class_concept_id
concept_relationship: concept_id_1 concept_id_2 relationship_id valid_start_date valid_end_date invalid_reason
concept_synonym: concept_id concept_synonym_name language_concept_id
condition_era: condition_era_id person_id condition_concept_id condition_era_start_date condition_era_end_date
    condition_occurrence_count
condition_occurrence: condition_occurrence_id person_id condition_concept_id condition_start_date
    condition_start_datetime condition_end_date condition_end_datetime condition_type_concept_id
    condition_status_concept_id stop_reason provider_id visit_occurrence_id visit_detail_id condition_source_value
    condition_source_concept_id condition_status_source_value
death: person_id death_date death_datetime death_type_concept_id cause_concept_id cause_source_value
    cause_source_concept_id
device_exposure: device_exposure_id person_id device_concept_id device_exposure_start_date
    device_exposure_start_datetime device_exposure_end_date device_exposure_end_datetime device_type_concept_id
    unique_device_id production_id quantity provider_id visit_occurrence_id visit_detail_id device_source_value
    device_source_concept_id unit_concept_id unit_source_value unit_source_concept_id
domain: domain_id domain_name domain_concept_id
dose_era: dose_era_id person_id drug_concept_id unit_concept_id dose_value dose_era_start_date dose_era_end_date
drug_era: drug_era_id person_id drug_concept_id drug_era_start_date drug_era_end_date drug_exposure_count gap_days
drug_exposure: drug_exposure_id person_id drug_concept_id drug_exposure_start_date drug_exposure_start_datetime
    drug_exposure_end_date drug_exposure_end_datetime verbatim_end_date drug_type_concept_id stop_reason refills
    quantity days_supply sig route_concept_id lot_number provider_id visit_occurrence_id visit_detail_id
    drug_source_value drug_source_concept_id route_source_value dose_unit_source_value
drug_strength: drug_concept_id ingredient_concept_id amount_value amount_unit_concept_id numerator_value
    numerator_unit_concept_id denominator_value denominator_unit_concept_id box_size valid_start_date valid_end_date
    invalid_reason
episode: episode_id person_id episode_concept_id episode_start_date episode_start_datetime episode_end_date
    episode_end_datetime episode_parent_id episode_number episode_object_concept_id episode_type_concept_id
    episode_source_value episode_source_concept_id
image_feature: image_feature_id person_id image_occurrence_id image_feature_event_field_concept_id
    image_feature_event_id image_feature_concept_id image_feature_type_concept_id image_finding_concept_id
    image_finding_id anatomic_site_concept_id alg_system alg_datetime
image_occurrence: image_occurrence_id person_id procedure_occurrence_id visit_occurrence_id anatomic_site_concept_id
    wadors_uri local_path image_occurrence_date image_study_uid image_series_uid modality_concept_id accession_id
measurement: measurement_id person_id measurement_concept_id measurement_date measurement_datetime measurement_time
    measurement_type_concept_id operator_concept_id value_as_number value_as_concept_id unit_concept_id range_low
    range_high provider_id visit_occurrence_id visit_detail_id measurement_source_value measurement_source_concept_id
    unit_source_value unit_source_concept_id value_source_value measurement_event_id meas_event_field_concept_id
observation: observation_id person_id observation_concept_id observation_date observation_datetime
    observation_type_concept_id value_as_number value_as_string value_as_concept_id qualifier_concept_id
    unit_concept_id provider_id visit_occurrence_id visit_detail_id observation_source_value
    observation_source_concept_id unit_source_value qualifier_source_value value_source_value observation_event_id
    obs_event_field_concept_id
observation_period: observation_period_id person_id observation_period_start_date observation_period_end_date
    period_type_concept_id
payer_plan_period: payer_plan_period_id person_id payer_plan_period_start_date payer_plan_period_end_date
    payer_concept_id payer_source_value payer_source_concept_id plan_concept_id plan_source_value
    plan_source_concept_id sponsor_concept_id sponsor_source_value sponsor_source_concept_id family_source_value
    stop_reason_concept_id stop_reason_source_value stop_reason_source_concept_id
person: person_id gender_concept_id year_of_birth month_of_birth day_of_birth birth_datetime race_concept_id
    ethnicity_concept_id location_id provider_id care_site_id person_source_value gender_source_value
    gender_source_concept_id race_source_value race_source_concept_id ethnicity_source_value
    ethnicity_source_concept_id
procedure_occurrence: procedure_occurrence_id person_id procedure_concept_id procedure_date procedure_datetime
    procedure_end_date procedure_end_datetime procedure_type_concept_id modifier_concept_id quantity provider_id
    visit_occurrence_id visit_detail_id procedure_source_value procedure_source_concept_id modifier_source_value
relationship: relationship_id relationship_name is_hierarchical defines_ancestry reverse_relationship_id
    relationship_concept_id
source_to_concept_map: source_code source_concept_id source_vocabulary_id source_code_description target_concept_id
    target_vocabulary_id valid_start_date valid_end_date invalid_reason
specimen: specimen_id person_id specimen_concept_id specimen_type_concept_id specimen_date specimen_datetime quantity
    unit_concept_id anatomic_site_concept_id disease_status_concept_id specimen_source_id specimen_source_value
    unit_source_value anatomic_site_source_value disease_status_source_value
visit_detail: visit_detail_id person_id visit_detail_concept_id visit_detail_start_date visit_detail_start_datetime
    visit_detail_end_date visit_detail_end_datetime visit_detail_type_concept_id provider_id care_site_id
    visit_detail_source_value visit_detail_source_concept_id admitted_from_concept_id admitted_from_source_value
    discharged_to_source_value discharged_to_concept_id preceding_visit_detail_id parent_visit_detail_id
    visit_occurrence_id
visit_occurrence: visit_occurrence_id person_id visit_concept_id visit_start_date visit_start_datetime visit_end_date
    visit_end_datetime visit_type_concept_id provider_id care_site_id visit_source_value visit_source_concept_id
    admitted_from_concept_id admitted_from_source_value discharged_to_concept_id discharged_to_source_value
    preceding_visit_occurrence_id
vocabulary: vocabulary_id vocabulary_name vocabulary_reference vocabulary_version vocabulary_concept_id
"""


def _read(text: str) -> Mapping[str, frozenset[str]]:
    tables: dict[str, frozenset[str]] = {}
    for line in text.replace("\n    ", " ").strip().splitlines():
        table, columns = line.split(": ")
        tables[table] = frozenset(columns.split())
    return MappingProxyType(tables)


CDM_COLUMNS = _read(_COLUMNS)
"""Table to the names of its columns."""
