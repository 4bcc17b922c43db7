// Package promlimits exports to Prometheus what a [limits.Limiter] does. It is a separate module,
// so that the other packages do not depend on Prometheus' client.
//
//	collector := promlimits.New(options)
//	options.OnEvent = collector.OnEvent
//	limiter := limits.New(options)
//	collector.Watch(limiter)
//	prometheus.MustRegister(collector)
//
// The metrics come from what package limits declares and counts, so a new limit appears by itself.
// No label has users' names or addresses, so the number of series does not grow with them.
// dashboard.json is a dashboard for Grafana, alerts.yml has rules for Prometheus.
package promlimits

import (
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/imapgate/imapgate/limits"
)

var (
	limitDesc = newDesc(
		"limit", "Value of a limit that is a number, 0 for no limit.", "limit",
	)
	timeDesc = newDesc(
		"limit_seconds", "Value of a limit that is a time, 0 for no limit.", "limit",
	)
	inUseDesc = newDesc("in_use", "How much of what a limit limits is in use.", "limit")
	waitDesc  = newDesc("waiting", "How many commands wait for what a limit limits.", "limit")
	nowDesc   = newDesc(
		"current", "How many connections, sessions, logins and commands there are now.", "kind",
	)
	refusedDesc = newDesc(
		"refusals_total", "Refusals by the answer that the client read, or would have without a dry run.",
		"reason",
	)
	outcomeDesc = newDesc("outcomes_total", "What happened that was no refusal.", "outcome")
	dryRunDesc  = newDesc("dry_run", "Whether refusals are only reported.")
	leaseDesc   = newDesc(
		"cluster_leases", "Sessions of this machine that are counted for all machines.",
	)
	errorDesc = newDesc(
		"cluster_errors_total", "Calls of the store of all machines that failed or took too long.",
	)
	upDesc = newDesc("cluster_up", "Whether the store of all machines answers.")
)

const namespace = "imapgate"

func newDesc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(prometheus.BuildFQName(namespace, "", name), help, labels, nil)
}

// A Collector is a [prometheus.Collector] for one limiter. It is safe for concurrent use.
type Collector struct {
	limiter atomic.Pointer[limits.Limiter]
	events  *prometheus.CounterVec
	waited  *prometheus.HistogramVec
}

var _ prometheus.Collector = (*Collector)(nil)

// New returns a collector for a limiter with these options, which may be nil as for [limits.New].
// The histogram has their timeouts as bucket bounds.
func New(options *limits.Options) *Collector {
	if options == nil {
		options = &limits.Options{}
	}
	return &Collector{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: namespace, Name: "events_total",
			Help: "Events by their kind, the command and the limit that was reached, if one was.",
		}, []string{"kind", "command", "limit", "dry_run"}),
		waited: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Namespace: namespace, Name: "waited_seconds", Buckets: buckets(options),
			Help: "How long commands and logins waited, by the command and how the wait ended.",
		}, []string{"command", "kind"}),
	}
}

// buckets returns the bounds of the histogram: fixed steps below the longest timeout, and all
// timeouts.
func buckets(options *limits.Options) []float64 {
	var timeouts []float64
	for _, l := range limits.Declared() {
		if value := l.Value(options); l.Time && value > 0 {
			timeouts = append(timeouts, time.Duration(value).Seconds())
		}
	}
	if len(timeouts) == 0 {
		timeouts = []float64{60}
	}
	all := slices.Clone(timeouts)
	longest := slices.Max(timeouts)
	for _, step := range []float64{0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000} {
		if step < longest {
			all = append(all, step)
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// OnEvent counts an event. Set it as OnEvent of the limiter's options, or call it from there.
func (c *Collector) OnEvent(e limits.Event) {
	kind := e.Kind.String()
	c.events.WithLabelValues(kind, e.Command, e.Limit, strconv.FormatBool(e.DryRun)).Inc()
	switch {
	case e.Kind == limits.EventStalled: // its time is not a wait in a queue
	case e.Waited > 0:
		c.waited.WithLabelValues(e.Command, kind).Observe(e.Waited.Seconds())
	}
}

// Watch sets the limiter whose metrics are collected. Without one, only the metrics of events are.
func (c *Collector) Watch(limiter *limits.Limiter) { c.limiter.Store(limiter) }

// Describe sends the descriptions of all metrics.
func (c *Collector) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{
		limitDesc, timeDesc, inUseDesc, waitDesc, nowDesc, refusedDesc, outcomeDesc, dryRunDesc,
		leaseDesc, errorDesc, upDesc,
	} {
		out <- desc
	}
	c.events.Describe(out)
	c.waited.Describe(out)
}

// Collect sends the current values of all metrics.
func (c *Collector) Collect(out chan<- prometheus.Metric) {
	c.events.Collect(out)
	c.waited.Collect(out)
	limiter := c.limiter.Load()
	if limiter == nil {
		return
	}
	options, stats := limiter.Options(), limiter.Stats()
	collectLimits(out, options, stats)
	collectFields(out, nowDesc, prometheus.GaugeValue, stats)
	collectFields(out, refusedDesc, prometheus.CounterValue, stats.Refused)
	collectFields(out, outcomeDesc, prometheus.CounterValue, stats.Total)
	gauge(out, dryRunDesc, number(options.DryRun))
	if options.Cluster != nil {
		gauge(out, leaseDesc, float64(stats.Cluster.Leases))
		gauge(out, upDesc, number(!stats.Cluster.Down))
		out <- prometheus.MustNewConstMetric(
			errorDesc, prometheus.CounterValue, float64(stats.Cluster.Errors),
		)
	}
}

func collectLimits(out chan<- prometheus.Metric, options *limits.Options, stats limits.Stats) {
	for _, l := range limits.Declared() {
		value := l.Value(options)
		if l.Time {
			gauge(out, timeDesc, time.Duration(value).Seconds(), l.Option)
		} else {
			gauge(out, limitDesc, float64(value), l.Option)
		}
		if n, ok := l.InUse(stats); ok {
			gauge(out, inUseDesc, float64(n), l.Option)
		}
		if n, ok := l.Waiting(stats); ok {
			gauge(out, waitDesc, float64(n), l.Option)
		}
	}
}

// collectFields sends each numeric field of a struct, labelled with its name.
func collectFields(
	out chan<- prometheus.Metric, desc *prometheus.Desc, kind prometheus.ValueType, of any,
) {
	v := reflect.ValueOf(of)
	for field, value := range v.Fields() {
		var n float64
		switch {
		case value.CanInt():
			n = float64(value.Int())
		case value.CanUint():
			n = float64(value.Uint())
		default:
			continue
		}
		out <- prometheus.MustNewConstMetric(desc, kind, n, snake(field.Name))
	}
}

var capital = regexp.MustCompile(`([a-z])([A-Z])`)

// snake returns a field's name as a label: logins_per_ip for LoginsPerIP.
func snake(field string) string {
	return strings.ToLower(capital.ReplaceAllString(field, "${1}_$2"))
}

func gauge(out chan<- prometheus.Metric, desc *prometheus.Desc, value float64, labels ...string) {
	out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
}

func number(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
