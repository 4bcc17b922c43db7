package promlimits_test

import (
	"fmt"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/promlimits"
)

func Example() {
	options := limits.DefaultOptions()
	collector := promlimits.New(options)
	options.OnEvent = collector.OnEvent
	limiter := limits.New(options) // wrap it around NewSession
	collector.Watch(limiter)
	prometheus.MustRegister(collector)

	const want = `
# HELP imapgate_dry_run Whether refusals are only reported.
# TYPE imapgate_dry_run gauge
imapgate_dry_run 0
`
	fmt.Println(testutil.GatherAndCompare(
		prometheus.DefaultGatherer, strings.NewReader(want), "imapgate_dry_run",
	))
	// Output: <nil>
}
