#!/bin/sh
# A registry as a hospital has one: TLS by a CA of its own, and a password.
set -eu
cd /root
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends docker-registry apache2-utils >/dev/null
systemctl stop docker-registry
echo '127.0.0.1 registry.test' >>/etc/hosts
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 30 -subj '/CN=registry.test' \
    -addext subjectAltName=DNS:registry.test -keyout registry.key -out ca.crt 2>/dev/null
mkdir /etc/registry
htpasswd -Bbn robot not-in-any-log >/etc/registry/htpasswd
cp registry.key ca.crt /etc/registry/
chown -R docker-registry /etc/registry
cat >/etc/docker/registry/config.yml <<'YAML'
version: 0.1
storage: {filesystem: {rootdirectory: /var/lib/docker-registry}}
http: {addr: "127.0.0.1:5443", tls: {certificate: /etc/registry/ca.crt, key: /etc/registry/registry.key}}
auth: {htpasswd: {realm: test, path: /etc/registry/htpasswd}}
YAML
systemctl start docker-registry
until python3 -c 'import socket; socket.create_connection(("registry.test", 5443))' 2>/dev/null; do :; done

mkdir -p /etc/docker/certs.d/registry.test:5443
cp ca.crt /etc/docker/certs.d/registry.test:5443/ca.crt
echo not-in-any-log | docker --config /root/pushing login --username robot --password-stdin registry.test:5443
for name in delta:2.0 epsilon:2.0 epsilon:moved; do
    echo $name >content
    tar --create content | docker import --change 'CMD ["true"]' - registry.test:5443/mirror/flip/$name
done
for name in delta:2.0 epsilon:2.0; do docker --config /root/pushing push --quiet registry.test:5443/mirror/flip/$name; done
docker image inspect --format '{{index .RepoDigests 0}}' registry.test:5443/mirror/flip/epsilon:2.0 | sed 's/.*@//' >digest
# The tag means another image since; only the digest still means the first one.
docker tag registry.test:5443/mirror/flip/epsilon:moved registry.test:5443/mirror/flip/epsilon:2.0
docker --config /root/pushing push --quiet registry.test:5443/mirror/flip/epsilon:2.0
docker image ls --quiet 'registry.test:5443/mirror/flip/*' | sort --unique | xargs docker image rm --force
rm -r /root/pushing /etc/docker/certs.d
