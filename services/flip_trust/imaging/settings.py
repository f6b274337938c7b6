"""Settings of imaging-api."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import Field, HttpUrl, SecretStr, StringConstraints, model_validator

from flip_trust.doors import DoorSettings

AETitle = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9a-z_.-]{1,16}$")]
Port = Annotated[int, Field(ge=1, le=65535)]


class StoreKind(StrEnum):
    """Where the trust's images come from."""

    FOLDER = "folder"
    DIMSE = "dimse"
    ORTHANC = "orthanc"
    XNAT = "xnat"


_NEEDED = {
    StoreKind.FOLDER: ("imaging_folder",),
    StoreKind.DIMSE: ("pacs_ae_title", "pacs_host", "pacs_port", "imaging_ae_title", "imaging_ae_port"),
    StoreKind.ORTHANC: (
        "orthanc_url",
        "orthanc_username",
        "orthanc_password",
        "orthanc_pacs",
        "orthanc_ae_title",
    ),
    StoreKind.XNAT: (
        "xnat_url",
        "xnat_username",
        "xnat_password",
        "xnat_pacs",
        "xnat_ae_title",
        "xnat_ae_port",
    ),
}


class ImagingSettings(DoorSettings):
    """Read from the environment or an env file; see `ServiceSettings`."""

    imaging_data_dir: Path = Field(description="Folder of the projects' studies and of the import ledger")
    imaging_store: StoreKind = Field(
        description="Where images come from: folder (of DICOM files), dimse (a PACS), orthanc (a staging Orthanc), xnat"
    )

    imaging_folder: Path | None = Field(default=None, description="folder: the folder of DICOM files, read only")

    pacs_ae_title: AETitle | None = Field(default=None, description="dimse: the PACS's AE title")
    pacs_host: str | None = Field(default=None, description="dimse: the PACS's host name or address")
    pacs_port: Port | None = Field(default=None, description="dimse: the PACS's DICOM port")
    pacs_timeout_seconds: float = Field(
        default=60, gt=0, le=3600, description="Seconds of silence after which the PACS counts as gone"
    )
    pacs_tls_ca: Path | None = Field(
        default=None, description="dimse: CA file of the PACS's certificate; set, DICOM goes over TLS both ways"
    )
    pacs_tls_certificate: Path | None = Field(default=None, description="dimse: own certificate for DICOM TLS")
    pacs_tls_key: Path | None = Field(default=None, description="dimse: own private key for DICOM TLS")
    imaging_ae_title: AETitle | None = Field(
        default=None, description="dimse: own AE title, known to the PACS as a C-MOVE destination"
    )
    imaging_ae_host: str = Field(default="0.0.0.0", description="dimse: address the own AE listens on")  # noqa: S104 - the PACS dials in
    imaging_ae_port: Port | None = Field(default=None, description="dimse: port the own AE listens on")

    orthanc_url: HttpUrl | None = Field(default=None, description="orthanc: REST address of the staging Orthanc")
    orthanc_username: str | None = Field(default=None, description="orthanc: user of its REST API")
    orthanc_password: SecretStr | None = Field(default=None, description="orthanc: password of that user")
    orthanc_ca: Path | None = Field(default=None, description="orthanc: CA file of its certificate, for https")
    orthanc_pacs: str | None = Field(
        default=None,
        pattern=r"^[A-Za-z0-9_-]{1,64}$",
        description="orthanc: name of the PACS in its DicomModalities",
    )
    orthanc_ae_title: AETitle | None = Field(
        default=None, description="orthanc: AE title of the staging Orthanc, known to the PACS"
    )

    xnat_url: HttpUrl | None = Field(default=None, description="xnat: its address, with the path it is served under")
    xnat_username: str | None = Field(
        default=None, description="xnat: FLIP's user there, with roles Administrator, Dqr"
    )
    xnat_password: SecretStr | None = Field(default=None, description="xnat: password of that user")
    xnat_ca: Path | None = Field(default=None, description="xnat: CA file of its certificate, for https")
    xnat_pacs: AETitle | None = Field(
        default=None, description="xnat: AE title of the PACS, as registered in its query-retrieve plugin"
    )
    xnat_ae_title: AETitle | None = Field(
        default=None, description="xnat: AE title of its DICOM receiver, known to the PACS as a C-MOVE destination"
    )
    xnat_ae_port: Port | None = Field(default=None, description="xnat: port of that receiver")
    xnat_import_seconds: float = Field(
        default=3600, gt=0, description="xnat: longest that it may take to archive a study; then it is asked again"
    )

    import_concurrency: int = Field(default=4, ge=1, le=64, description="Studies brought in at the same time")
    import_attempts: int = Field(
        default=5, ge=1, le=50, description="Times a study is asked for before it is FAILED, while the PACS is away"
    )
    import_backoff_seconds: float = Field(
        default=2, ge=0, le=600, description="Pause after the first failed attempt; doubles, to a minute at most"
    )
    conversion_concurrency: int = Field(
        default=2, ge=1, le=64, description="Studies converted at the same time; each keeps about one core busy"
    )
    conversion_timeout_seconds: float = Field(
        default=600, gt=0, description="Seconds a series may take to convert before it is given up"
    )
    conversion_max_bytes: int = Field(
        default=4_000_000_000,
        gt=0,
        description="Largest series, and largest segmentation, unpacked; larger is not converted",
    )
    conversion_memory_bytes: int = Field(
        default=16_000_000_000, ge=256_000_000, description="Address space that one run of dcm2niix may take"
    )
    instance_max_bytes: int = Field(
        default=2_000_000_000,
        gt=0,
        description="Largest DICOM instance that is taken; over dimse each that arrives is held in memory",
    )
    study_max_bytes: int = Field(
        default=50_000_000_000, gt=0, description="Most bytes of DICOM that one accession number may bring"
    )
    project_max_bytes: int = Field(
        default=5_000_000_000_000, gt=0, description="Most bytes of DICOM that one project may hold here"
    )
    disk_reserve_bytes: int = Field(
        default=1_000_000_000,
        ge=0,
        description="Bytes of the disk of IMAGING_DATA_DIR that no import, conversion or derived file may use",
    )
    resource_max_bytes: int = Field(
        default=2_000_000_000, gt=0, description="Largest derived file that may be stored beside a study"
    )
    log_level: str = Field(
        default="INFO", pattern=r"^(DEBUG|INFO|WARNING|ERROR)$", description="DEBUG, INFO, WARNING, ERROR"
    )

    @model_validator(mode="after")
    def _store_is_configured(self) -> Self:
        missing = [name.upper() for name in _NEEDED[self.imaging_store] if getattr(self, name) is None]
        if missing:
            raise ValueError(f"IMAGING_STORE={self.imaging_store} also needs {', '.join(missing)}")
        tls = {
            "PACS_TLS_CA": self.pacs_tls_ca,
            "PACS_TLS_CERTIFICATE": self.pacs_tls_certificate,
            "PACS_TLS_KEY": self.pacs_tls_key,
        }
        unset = [name for name, value in tls.items() if value is None]
        if unset and len(unset) < len(tls):
            raise ValueError(f"DICOM TLS needs all of {', '.join(tls)}; not set: {', '.join(unset)}")
        if self.imaging_store is StoreKind.FOLDER and not (self.imaging_folder and self.imaging_folder.is_dir()):
            raise ValueError(f"IMAGING_FOLDER={self.imaging_folder} is not a folder")
        return self
