# A bare systemd host with the distribution's Docker and Compose 2: that of Debian 13 on Debian 12, which has none. The
# lists of packages stay: no scenario of the next hour fetches them again.
ARG HOST
FROM ${HOST}
ARG ENGINE
COPY debian13_packages.sh /root/
RUN set -eu; \
    apt-get update -qq; \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $ENGINE \
        ca-certificates iptables nftables openssl python3-apt systemd-timesyncd zstd; \
    docker compose version || sh /root/debian13_packages.sh docker-compose; \
    rm -rf /root/debian13_packages.sh /var/cache/apt/archives/*.deb
CMD ["/sbin/host-init"]
