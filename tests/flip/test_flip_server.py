"""The SDK in a ServerApp, and how it meets faults of any service."""

import hashlib
import logging
from pathlib import Path

import pytest

import flip
from flip import FLIP, checks
from flip.constants.flip_constants import ModelStatus
from flip.http import Retry
from flip.run import exception_code
from flip_common.wire.model import RESULT_NAME_PATTERN
from flip_fl.certs import make_net_certificates

from .conftest import KEY, MODEL, PROJECT, Service, serving, study_zip

BASE = f"/api/internal/models/{MODEL}"


def test_status_metrics_and_exceptions_reach_the_hub(service: Service, server: FLIP) -> None:
    server.update_status(MODEL, ModelStatus.PREPARED)
    server.update_status(MODEL, ModelStatus.RUNNING)
    server.send_metrics("Trust_1", MODEL, "train_loss", 0.5, 3)
    text = "Traceback (most recent call last):\n  File x\nmy.pkg.SiteError: patient 17 has no scan"
    server.send_handled_exception(text, "Trust_1", MODEL)
    digest = hashlib.sha256(text.encode()).hexdigest()
    assert [(method, path, body.decode()) for method, path, _, body in service.calls] == [
        ("PUT", f"{BASE}/status", '{"status":"PREPARED"}'),
        ("PUT", f"{BASE}/status", '{"status":"TRAINING_STARTED"}'),
        (
            "POST",
            f"{BASE}/metrics",
            '{"points":[{"trust":"Trust_1","label":"train_loss","value":0.5,"round":3}]}',
        ),
        ("POST", f"{BASE}/exceptions", f'{{"trust":"Trust_1","code":"SiteError","digest":"{digest}"}}'),
    ]
    assert set(service.keys) == {KEY}


def test_results_of_a_folder_are_streamed_file_by_file(service: Service, server: FLIP, tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "final.npz").write_bytes(b"f" * 3_000_000)
    (tmp_path / "sub" / "metrics.json").write_bytes(b"{}")
    assert server.upload_results_to_s3(tmp_path, MODEL) == ["final.npz", "sub__metrics.json"]
    sent = {path: len(body) for _, path, _, body in service.calls}
    assert sent == {f"{BASE}/results/final.npz": 3_000_000, f"{BASE}/results/sub__metrics.json": 2}
    assert server.upload_results(tmp_path / "final.npz", MODEL) == ["final.npz"]


def test_what_cannot_be_uploaded_is_said(service: Service, server: FLIP, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no file"):
        server.upload_results(tmp_path / "absent", MODEL)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="nothing to upload"):
        server.upload_results(tmp_path / "empty", MODEL)
    (tmp_path / "twice" / "a").mkdir(parents=True)
    (tmp_path / "twice" / "a" / "b").write_text("1")
    (tmp_path / "twice" / "a__b").write_text("2")
    with pytest.raises(ValueError, match="one name"):
        server.upload_results(tmp_path / "twice", MODEL)
    (tmp_path / "odd name.npz").write_text("1")
    with pytest.raises(ValueError, match="odd name"):
        server.upload_results(tmp_path / "odd name.npz", MODEL)
    assert service.calls == []


@pytest.mark.parametrize(
    "name", [".DS_Store", "odd name.npz", "w@1.npz", "a+b.npz", "größe.npz", "x" * 101, "w.npz\n", "sub/.hidden"]
)
def test_a_name_the_hub_would_not_take_is_refused_before_anything_is_sent(
    service: Service, server: FLIP, tmp_path: Path, name: str
) -> None:
    (tmp_path / "a.npz").write_bytes(b"1")
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"2")
    if name == "sub/.hidden":  # a folder's name makes it plain
        assert server.upload_results(tmp_path, MODEL) == ["a.npz", "sub__.hidden"]
        return
    with pytest.raises(ValueError, match="the hub takes names of 1 to 100") as caught:
        server.upload_results(tmp_path, MODEL)
    assert repr(name) in str(caught.value)
    assert "rename the file, or leave it out" in str(caught.value)
    assert service.calls == []


def test_the_sdk_and_the_hub_have_one_rule_for_names() -> None:
    assert checks.RESULT_NAME.pattern == RESULT_NAME_PATTERN
    assert checks.result_name("w-1_x.npz") == "w-1_x.npz"


def test_a_hub_with_a_certificate_of_a_private_authority(tmp_path: Path, quick_retries: None) -> None:
    files, other = (make_net_certificates(tmp_path / name) for name in ("own", "other"))
    with serving(ssl_certfile=files.cert, ssl_keyfile=files.key) as hub:

        def app(**changes: str) -> FLIP:
            return FLIP({"FLIP_API_INTERNAL_URL": f"{hub.url}/api/internal", "INTERNAL_SERVICE_KEY": KEY, **changes})

        app(FLIP_API_CA_FILE=str(files.ca)).update_status(MODEL, ModelStatus.PREPARED)
        assert len(hub.calls) == 1
        for stranger in (app(), app(FLIP_API_CA_FILE=str(other.ca))):
            with pytest.raises(flip.UnreachableError, match="CERTIFICATE_VERIFY_FAILED"):
                stranger.update_status(MODEL, ModelStatus.PREPARED)
        (tmp_path / "no.pem").write_text("no certificate")
        for path, told in (("no.pem", "has to be PEM"), ("absent.pem", "FLIP_API_CA_FILE=.* is no file")):
            with pytest.raises(flip.ConfigurationError, match=told):
                app(FLIP_API_CA_FILE=str(tmp_path / path)).update_status(MODEL, ModelStatus.PREPARED)
        assert len(hub.calls) == 1


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_values_that_are_no_numbers_are_refused_before_they_leave(service: Service, server: FLIP, value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        server.send_metrics("T", MODEL, "loss", value, 1)
    with pytest.raises(ValueError, match="UUID"):
        server.update_status("uuid", ModelStatus.INITIATED)
    assert service.calls == []


@pytest.mark.parametrize("faults", [[500], [503, 502, 500], ["drop"], ["drop", 500, "drop"]])
def test_faults_that_pass_are_retried(service: Service, server: FLIP, faults: list[int | str]) -> None:
    service.faults = list(faults)
    server.update_status(MODEL, ModelStatus.INITIATED)
    assert len(service.calls) == len(faults) + 1


def test_a_half_sent_upload_is_sent_again_whole(service: Service, server: FLIP, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"w" * 500_000)
    service.faults = [500, "drop"]
    server.upload_results(tmp_path / "w.npz", MODEL)
    assert [len(call[3]) for call in service.calls] == [500_000] * 3


def test_a_half_received_study_is_fetched_again_whole(service: Service, site: FLIP) -> None:
    service.studies["A1"] = study_zip({"input_1.nii.gz": b"i" * 2_000_000})
    service.faults = ["drop", 503]
    folder = site.get_by_accession_number(PROJECT, "A1")
    assert (folder / "input_1.nii.gz").stat().st_size == 2_000_000
    assert len(service.calls) == 3


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 413, 422, 429])
def test_a_refusal_is_not_retried_and_shows_the_detail(service: Service, server: FLIP, status: int) -> None:
    service.faults = [status]
    with pytest.raises(flip.RefusedError, match=f"{status} fault_{status}: told to answer {status}") as caught:
        server.update_status(MODEL, ModelStatus.INITIATED)
    assert (caught.value.status, caught.value.code) == (status, f"fault_{status}")
    assert len(service.calls) == 1


def test_a_service_that_stays_down_is_an_error_that_names_it(
    service: Service, server: FLIP, caplog: pytest.LogCaptureFixture
) -> None:
    service.faults = [500] * 50
    with caplog.at_level(logging.DEBUG), pytest.raises(flip.UnreachableError, match=r"hub: PUT .*failed 6 times"):
        server.update_status(MODEL, ModelStatus.INITIATED)
    assert len(service.calls) == Retry().attempts
    assert KEY not in caplog.text


def test_nobody_listening_is_unreachable(quick_retries: None) -> None:
    nobody = FLIP({"FLIP_API_INTERNAL_URL": "http://127.0.0.1:9", "INTERNAL_SERVICE_KEY": KEY})
    with pytest.raises(flip.UnreachableError, match="URL right"):
        nobody.update_status(MODEL, ModelStatus.INITIATED)


def test_a_wrong_key_is_refused_and_not_shown(service: Service) -> None:
    wrong = FLIP({"FLIP_API_INTERNAL_URL": service.url, "INTERNAL_SERVICE_KEY": "wrong-secret-key"})
    with pytest.raises(flip.RefusedError, match="401") as caught:
        wrong.update_status(MODEL, ModelStatus.INITIATED)
    assert "wrong-secret-key" not in str(caught.value)
    assert "wrong-secret-key" not in repr(wrong._backend.__dict__)


def test_pauses_grow_to_a_limit() -> None:
    retry = Retry(first_pause=1, longest_pause=4)
    for attempt, most in enumerate([1, 2, 4, 4, 4], start=1):
        assert most / 2 <= retry.pause(attempt) <= most


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("ValueError: x", "ValueError"),
        ("Traceback\n  File\nimaging.errors.NoScanError: name: M. Mustermann", "NoScanError"),
        ("torch.cuda.OutOfMemoryError", "OutOfMemoryError"),
        ("Mustermann: is the patient", "Exception"),
        ("ValueError: first\n  detail\nMore text of the message", "ValueError"),
        ("", "Exception"),
    ],
)
def test_only_a_class_name_is_taken_from_an_exception(text: str, code: str) -> None:
    assert exception_code(text) == code


def statuses(service: Service) -> list[str]:
    return [body.decode().split('"')[3] for _, path, _, body in service.calls if path.endswith("/status")]


def test_a_run_that_goes_well_ends_with_its_results(service: Service, server: FLIP, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"w")
    with server.run_model(MODEL) as run:
        run.prepared()
        run.training_started()
        run.upload_results(tmp_path)
    assert statuses(service) == ["INITIATED", "PREPARED", "TRAINING_STARTED", "RESULTS_UPLOADED"]


def test_a_run_without_results_still_ends(service: Service, server: FLIP) -> None:
    with server.run_model(MODEL) as run:
        run.prepared()
    assert statuses(service)[-1] == "RESULTS_UPLOADED"


def test_a_failing_run_ends_in_error_with_code_and_digest_only(service: Service, server: FLIP) -> None:
    with pytest.raises(ZeroDivisionError), server.run_model(MODEL):
        raise ZeroDivisionError("patient 17")
    assert statuses(service) == ["INITIATED", "ERROR"]
    (sent,) = [body.decode() for _, path, _, body in service.calls if path.endswith("/exceptions")]
    assert '"trust":null,"code":"ZeroDivisionError","digest":"' in sent
    assert all(b"patient" not in call[3] for call in service.calls)


def test_a_failed_upload_ends_as_such(service: Service, server: FLIP, tmp_path: Path) -> None:
    (tmp_path / "w.npz").write_bytes(b"w")

    def run_it() -> None:
        with server.run_model(MODEL) as run:
            service.faults = [413]
            run.upload_results(tmp_path)

    with pytest.raises(flip.RefusedError):
        run_it()
    assert statuses(service) == ["INITIATED", "RESULTS_UPLOAD_FAILED"]


def test_an_interrupted_run_is_stopped(service: Service, server: FLIP) -> None:
    with pytest.raises(KeyboardInterrupt), server.run_model(MODEL):
        raise KeyboardInterrupt
    assert statuses(service) == ["INITIATED", "STOPPED"]


def test_the_first_error_is_the_one_seen_when_the_hub_cannot_be_told(service: Service, server: FLIP) -> None:
    def run_it() -> None:
        with server.run_model(MODEL):
            service.faults = [409] * 10
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError) as caught:
        run_it()
    assert "hub could not be told" in caught.value.__notes__[0]


def test_data_are_not_read_in_a_server_app(server: FLIP, tmp_path: Path) -> None:
    (tmp_path / "f").write_text("f")
    calls = [
        lambda: server.get_dataframe(PROJECT, "q"),
        lambda: server.get_by_accession_number(PROJECT, "A1"),
        lambda: server.add_resource(PROJECT, "A1", files=[tmp_path / "f"]),
        lambda: server.cleanup(tmp_path),
        lambda: list(server.iter_studies(PROJECT, ["A1"])),
    ]
    for call in calls:
        with pytest.raises(flip.NotAvailableHereError, match="in a ServerApp"):
            call()
