"""One job API over FL backends, and a site's FL client."""
