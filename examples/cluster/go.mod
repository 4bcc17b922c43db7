module github.com/imapgate/imapgate/examples/cluster

go 1.26.0

replace (
	github.com/imapgate/imapgate => ../..
	github.com/imapgate/imapgate/limits/promlimits => ../../limits/promlimits
	github.com/imapgate/imapgate/limits/redislimits => ../../limits/redislimits
)

require (
	github.com/imapgate/imapgate v0.0.0-00010101000000-000000000000
	github.com/imapgate/imapgate/limits/promlimits v0.0.0
	github.com/imapgate/imapgate/limits/redislimits v0.0.0
	github.com/prometheus/client_golang v1.25.0
	github.com/redis/rueidis v1.0.79
	github.com/stretchr/testify v1.12.1
)

require (
	github.com/beorn7/perks v1.0.1 // indirect
	github.com/cespare/xxhash/v2 v2.3.0 // indirect
	github.com/emersion/go-imap/v2 v2.0.0-beta.8 // indirect
	github.com/emersion/go-message v0.18.2 // indirect
	github.com/emersion/go-sasl v0.0.0-20241020182733-b788ff22d5a6 // indirect
	github.com/munnerz/goautoneg v0.0.0-20191010083416-a7dc8b61c822 // indirect
	github.com/prometheus/client_model v0.6.3 // indirect
	github.com/prometheus/common v0.72.0 // indirect
	github.com/prometheus/procfs v0.22.0 // indirect
	go.yaml.in/yaml/v3 v3.0.5 // indirect
	golang.org/x/sync v0.25.0 // indirect
	golang.org/x/sys v0.49.0 // indirect
	google.golang.org/protobuf v1.36.12 // indirect
)
