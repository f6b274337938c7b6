-- OMOP's medical imaging extension (MI-CDM), and the accession number by which a PACS knows a study.
CREATE TABLE omop.image_occurrence (
    image_occurrence_id integer PRIMARY KEY,
    person_id integer NOT NULL,
    procedure_occurrence_id integer NOT NULL,
    visit_occurrence_id integer,
    anatomic_site_concept_id integer,
    wadors_uri text,
    local_path text,
    image_occurrence_date date NOT NULL,
    image_study_uid varchar(64) NOT NULL,
    image_series_uid varchar(64) NOT NULL,
    modality_concept_id integer NOT NULL,
    accession_id varchar(64) NOT NULL
);
CREATE INDEX idx_image_occurrence_person ON omop.image_occurrence (person_id);
CREATE INDEX idx_image_occurrence_accession ON omop.image_occurrence (accession_id);

CREATE TABLE omop.image_feature (
    image_feature_id integer PRIMARY KEY,
    person_id integer NOT NULL,
    image_occurrence_id integer NOT NULL REFERENCES omop.image_occurrence,
    image_feature_event_field_concept_id integer,
    image_feature_event_id bigint,
    image_feature_concept_id integer NOT NULL,
    image_feature_type_concept_id integer,
    image_finding_concept_id integer,
    image_finding_id integer,
    anatomic_site_concept_id integer,
    alg_system text,
    alg_datetime timestamp
);
CREATE INDEX idx_image_feature_person ON omop.image_feature (person_id);
CREATE INDEX idx_image_feature_image ON omop.image_feature (image_occurrence_id);
