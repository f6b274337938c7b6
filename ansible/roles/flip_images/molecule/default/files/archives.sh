#!/bin/sh
# Small images of the scenario as archives, whole and damaged ones, and images of older releases that lie on the host.
set -eu
cd /root
image() { # image NAME:TAG
    echo "$1" >content
    head -c 300000 /dev/urandom >>content
    tar --create content | docker import --change 'CMD ["true"]' - "$1" >/dev/null
}
for name in alpha:2.0 beta:2.0 gamma:2.0 alpha:0.7 alpha:0.8 alpha:0.9 alpha:1.0; do image "flip/$name"; done
image other/alpha:0.8
docker create --name old flip/alpha:0.9 >/dev/null

docker save --output both.tar flip/alpha:2.0 flip/beta:2.0
docker save --output gamma.tar flip/gamma:2.0
docker save --output older.tar flip/alpha:0.7
docker image rm flip/alpha:2.0 flip/beta:2.0 flip/gamma:2.0 flip/alpha:0.7 >/dev/null
docker tag flip/alpha:0.8 flip/beta:2.0 # a name that means another image

head -c 400000 both.tar >short.tar
sed 's/"architecture":"amd64"/"architecture":"arm64"/' both.tar >altered.tar
python3 - <<'PYTHON' # one byte of a layer, which some engines pack
import shutil, tarfile
shutil.copyfile("both.tar", "layer.tar")
with tarfile.open("both.tar") as tar:
    layer = max(tar, key=lambda member: member.size)
with open("layer.tar", "r+b") as out:
    out.seek(layer.offset_data + layer.size // 2)
    byte = out.read(1)[0]
    out.seek(-1, 1)
    out.write(bytes([byte ^ 1]))
PYTHON
for name in both short; do zstd --quiet $name.tar; done
head -c 100000 both.tar.zst >cut.tar.zst
tar --create --file none.tar content
# A layer of 4 TiB, of which the disk holds nothing.
python3 - <<'PYTHON'
import tarfile
with open("huge.tar", "wb") as out:
    layer = tarfile.TarInfo("zeros")
    layer.size = 4 << 40
    header = layer.tobuf(tarfile.GNU_FORMAT)
    out.write(header)
    out.seek(len(header) + layer.size)
    with open("gamma.tar", "rb") as rest:
        out.write(rest.read())
PYTHON
