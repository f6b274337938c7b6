# A bare systemd host with the distribution's Docker, and Compose 2 of Debian 13, since Debian 12 has none.
ARG HOST
FROM ${HOST}
ARG SUITE
RUN set -eu; cd /tmp; \
    [ "$SUITE" = trixie ] && docker='docker.io docker-cli docker-compose' || docker=docker.io; \
    apt-get update -qq; \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $docker \
        ca-certificates iptables nftables openssl python3-apt systemd-timesyncd zstd; \
    if [ "$SUITE" = bookworm ]; then \
        mkdir -p lists/partial; echo 'deb http://deb.debian.org/debian trixie main' >trixie.list; \
        o='-o Dir::Etc::sourcelist=/tmp/trixie.list -o Dir::Etc::sourceparts=/dev/null -o Dir::State::lists=/tmp/lists'; \
        apt-get $o update -qq; apt-get $o -o APT::Sandbox::User=root download -qq docker-compose; \
        dpkg --install docker-compose_*.deb; \
    fi; \
    rm -rf /tmp/* /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
CMD ["/sbin/host-init"]
