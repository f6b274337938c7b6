# What stands around the hosts: router (nftables), name server (dnsmasq), package mirror (Python) and proxy (squid).
ARG HOST
FROM ${HOST}
RUN apt-get update -qq; \
    DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends nftables dnsmasq-base squid-openssl openssl; \
    rm -rf /var/lib/apt/lists/* /var/cache/apt/archives/*.deb
CMD ["sleep", "infinity"]
