"""Making bundles. Needs more than a site has: the package `backports.zstd`, and Docker where there are images."""
