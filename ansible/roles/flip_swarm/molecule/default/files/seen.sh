#!/bin/sh
# What is the operator's in this host's Swarm; a service's or a container's number changes when it is touched.
set -eu
docker info --format '{{.Swarm.Cluster.ID}} {{.Swarm.NodeID}} {{.Swarm.NodeAddr}} {{.Swarm.Cluster.DataPathPort}}'
docker service inspect --format '{{.ID}} {{.Version.Index}}' theirs
docker inspect --format '{{.Id}} {{.State.Pid}}' $(docker ps --quiet --filter label=com.docker.swarm.service.name=theirs)
docker network inspect --format '{{.Id}} {{json .IPAM.Config}}' theirs ingress
pidof dockerd
