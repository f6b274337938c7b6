"""The images are there under the names that roles use, and nothing else was left behind."""

import json

import pytest

testinfra_hosts = ["flip-molecule-images"]


def tags(host):
    return set(host.check_output("docker image ls --format '{{.Repository}}:{{.Tag}}'").splitlines())


def configurations(manifest):
    """Digest of each image's configuration by its names: engines since 25 have them in another folder."""
    entries = json.loads(manifest)
    return {
        tag: entry["Config"].rpartition("/")[2].removesuffix(".json") for entry in entries for tag in entry["RepoTags"]
    }


@pytest.mark.parametrize("name", ["alpha", "beta", "gamma"])
def test_an_archives_image_is_the_archives(host, name):
    archive = "gamma.tar" if name == "gamma" else "both.tar"
    wanted = configurations(host.check_output("tar --extract --to-stdout --file /root/%s manifest.json", archive))
    there = configurations(host.check_output("docker save flip/%s:2.0 | tar --extract --to-stdout manifest.json", name))
    assert there[f"flip/{name}:2.0"] == wanted[f"flip/{name}:2.0"]


@pytest.mark.parametrize(("name", "content"), [("delta", "delta:2.0"), ("epsilon", "epsilon:2.0")])
def test_an_image_of_the_registry_is_the_one_meant(host, name, content):
    host.check_output("docker create --name look flip/%s:2.0", name)
    assert host.check_output("docker cp look:/content - | tar --extract --to-stdout; docker rm look >&2") == content


def test_releases_that_stay_stay_and_others_are_gone(host):
    alphas = {tag for tag in tags(host) if "/alpha:" in tag}
    assert alphas == {"flip/alpha:2.0", "flip/alpha:1.0", "flip/alpha:0.9", "other/alpha:0.8"}, "0.9 is in use"


def test_the_password_is_nowhere(host):
    assert not host.file("/root/.docker/config.json").exists
    assert host.run("grep -rls not-in-any-log /run /root/.docker /root/.ansible /etc/docker /var/log").stdout == ""
    assert host.run("journalctl --output cat | grep -q not-in-any-log").rc == 1


def test_no_copy_of_an_archive_takes_room(host):
    assert not host.file("/var/cache/flip/images").exists
