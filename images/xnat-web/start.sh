#!/bin/bash
# flip-xnat: starts XNAT over /data, with the database that /config/xnat-conf.properties names.
# flip-xnat health: whether its page answers.
set -euo pipefail

if [ "${1:-}" = health ]; then
    exec 3<>/dev/tcp/127.0.0.1/8080
    printf 'GET /app/template/Login.vm HTTP/1.0\r\nHost: localhost\r\n\r\n' >&3
    read -r line <&3
    [[ "$line" == HTTP/*\ 200* ]] || { echo "XNAT answers ${line%$'\r'}" >&2; exit 1; }
    exit 0
fi
if [ ! -r /config/xnat-conf.properties ]; then
    echo "flip-xnat: /config/xnat-conf.properties is not there, or not readable for uid $(id -u): mount it" >&2
    exit 2
fi
mkdir -p /tmp/work /data/home/{config,logs,work} /data/{archive,prearchive,build,cache,ftp,inbox,pipeline}
# The image's plugins, whatever an earlier release left.
ln -sfn /opt/xnat/plugins /data/home/plugins
ln -sfn /config/xnat-conf.properties /data/home/config/xnat-conf.properties
# Read by XNAT at its first start; later its own settings hold.
cat >/data/home/config/prefs-init.ini <<'INI'
[siteConfig]
archivePath=/data/archive
prearchivePath=/data/prearchive
buildPath=/data/build
cachePath=/data/cache
ftpPath=/data/ftp
inboxPath=/data/inbox
pipelinePath=/data/pipeline
INI
export CATALINA_OPTS="${CATALINA_OPTS:-} -Dxnat.home=/data/home"
exec "${CATALINA_HOME:-/usr/local/tomcat}/bin/catalina.sh" run
