package promlimits_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/imapgate/imapgate/internal/readme"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/promlimits"
)

// cluster is a Cluster that does nothing.
type cluster struct{ limits.ClusterStats }

func (cluster) Acquire(limits.ClusterLogin) (limits.ClusterLease, error) { return nil, nil }
func (c cluster) Stats() limits.ClusterStats                             { return c.ClusterStats }

// newCollector returns a collector of a limiter, and its registry.
func newCollector(options *limits.Options) (*promlimits.Collector, *prometheus.Registry) {
	c := promlimits.New(options)
	options.OnEvent = c.OnEvent
	c.Watch(limits.New(options))
	registry := prometheus.NewPedanticRegistry()
	registry.MustRegister(c)
	return c, registry
}

// text returns the text that Prometheus scrapes.
func text(t *testing.T, registry *prometheus.Registry) string {
	w := httptest.NewRecorder()
	handler := promhttp.HandlerFor(registry, promhttp.HandlerOpts{})
	handler.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	require.Equal(t, http.StatusOK, w.Code)
	return w.Body.String()
}

func fullOptions() *limits.Options {
	options := limits.DefaultOptions()
	options.Cluster = cluster{limits.ClusterStats{Leases: 3, Errors: 2, Down: true}}
	return options
}

func TestEveryLimitAndCounterAppears(t *testing.T) {
	_, registry := newCollector(fullOptions())
	got := text(t, registry)
	for _, l := range limits.Declared() {
		name := "imapgate_limit"
		if l.Time {
			name = "imapgate_limit_seconds"
		}
		assert.Contains(t, got, name+`{limit="`+l.Option+`"} `)
	}
	capital := regexp.MustCompile(`([a-z])([A-Z])`)
	for _, counts := range []struct {
		of           any
		name, labels string
	}{
		{limits.Stats{}, "imapgate_current", "kind"},
		{limits.Refusals{}, "imapgate_refusals_total", "reason"},
		{limits.Totals{}, "imapgate_outcomes_total", "outcome"},
	} {
		for field := range reflect.TypeOf(counts.of).Fields() {
			if field.Type.Kind() == reflect.Struct {
				continue
			}
			label := strings.ToLower(capital.ReplaceAllString(field.Name, "${1}_$2"))
			assert.Contains(t, got, counts.name+`{`+counts.labels+`="`+label+`"} 0`)
		}
	}
	assert.Contains(t, got, `imapgate_limit{limit="MaxLoginsPerUser"} 20`)
	assert.Contains(t, got, `imapgate_limit_seconds{limit="FetchQueueTimeout"} 40`)
	assert.Contains(t, got, `imapgate_in_use{limit="MaxFetches"} 0`)
	assert.Contains(t, got, `imapgate_waiting{limit="MaxFetches"} 0`)
	assert.Contains(t, got, "imapgate_dry_run 0")
	assert.Contains(t, got, "imapgate_cluster_leases 3")
	assert.Contains(t, got, "imapgate_cluster_errors_total 2")
	assert.Contains(t, got, "imapgate_cluster_up 0")
}

// The README has each metric, and none that does not exist.
func TestReadmeHasEveryMetric(t *testing.T) {
	c, registry := newCollector(fullOptions())
	c.OnEvent(limits.Event{Kind: limits.EventAdmitted, Command: "FETCH", Waited: time.Second})
	families, err := registry.Gather()
	require.NoError(t, err)
	var want, got []string
	for _, family := range families {
		want = append(want, family.GetName())
	}
	for _, row := range readme.Table(t, "README.md", "Metric") {
		got = append(got, readme.Names(row[0])...)
	}
	assert.ElementsMatch(t, want, got)
}

func TestWithoutAClusterThereAreNoFiguresOfOne(t *testing.T) {
	_, registry := newCollector(limits.DefaultOptions())
	assert.NotContains(t, text(t, registry), "imapgate_cluster_")
}

func TestWithoutALimiterThereAreTheEvents(t *testing.T) {
	c := promlimits.New(limits.DefaultOptions())
	c.OnEvent(limits.Event{Kind: limits.EventJoined, Command: "SEARCH", Waited: time.Second})
	assert.Equal(t, 2, testutil.CollectAndCount(c))
}

func TestEventsAreCountedAndTimed(t *testing.T) {
	c, registry := newCollector(limits.DefaultOptions())
	c.OnEvent(limits.Event{Kind: limits.EventAdmitted, Command: "FETCH", Waited: 2 * time.Second})
	c.OnEvent(limits.Event{
		Kind: limits.EventTimedOut, Command: "FETCH", Waited: 40 * time.Second,
		Limit: "MaxFetchesPerUser", Max: "10", User: "karen",
	})
	c.OnEvent(limits.Event{Kind: limits.EventRefused, Command: "LOGIN", Limit: "MaxLoginsPerUser"})
	c.OnEvent(limits.Event{Kind: limits.EventStalled, Command: "FETCH", Waited: 30 * time.Second})
	got := text(t, registry)
	for _, want := range []string{
		`imapgate_events_total{command="FETCH",dry_run="false",kind="admitted",limit=""} 1`,
		`imapgate_events_total{command="FETCH",dry_run="false",` +
			`kind="timed out",limit="MaxFetchesPerUser"} 1`,
		`imapgate_events_total{command="LOGIN",dry_run="false",` +
			`kind="refused",limit="MaxLoginsPerUser"} 1`,
		`imapgate_waited_seconds_bucket{command="FETCH",kind="admitted",le="1"} 0`,
		`imapgate_waited_seconds_bucket{command="FETCH",kind="admitted",le="3"} 1`,
		`imapgate_waited_seconds_bucket{command="FETCH",kind="timed out",le="30"} 0`,
		`imapgate_waited_seconds_bucket{command="FETCH",kind="timed out",le="40"} 1`,
	} {
		assert.Contains(t, got, want)
	}
	assert.NotContains(t, got, "karen")
	assert.NotContains(t, got, `waited_seconds_bucket{command="FETCH",kind="stalled"`)
	assert.NotContains(t, got, `waited_seconds_bucket{command="LOGIN"`)
}

// The number of series depends only on what is declared, not on clients.
func TestUsersAndAddressesMakeNoSeries(t *testing.T) {
	c, registry := newCollector(limits.DefaultOptions())
	series := func() int {
		n, err := testutil.GatherAndCount(registry)
		require.NoError(t, err)
		return n
	}
	event := limits.Event{Kind: limits.EventRefused, Command: "LOGIN", Limit: "MaxLoginsPerUser"}
	c.OnEvent(event)
	before := series()
	for i := range 1000 {
		event.User, event.Max = strings.Repeat("x", i), "20"
		c.OnEvent(event)
	}
	assert.Equal(t, before, series())
}

// promtool returns the command, or skips the test if it is not installed.
func promtool(t *testing.T, args ...string) *exec.Cmd {
	if _, err := exec.LookPath("promtool"); err != nil {
		t.Skip("promtool is not installed: apt-get install prometheus")
	}
	return exec.Command("promtool", args...)
}

func TestMetricsFollowTheConventions(t *testing.T) {
	c, registry := newCollector(fullOptions())
	c.OnEvent(limits.Event{Kind: limits.EventAdmitted, Command: "FETCH", Waited: time.Second})
	cmd := promtool(t, "check", "metrics")
	cmd.Stdin = strings.NewReader(text(t, registry))
	out, err := cmd.CombinedOutput()
	assert.NoError(t, err)
	assert.Empty(t, string(out))
}

func TestAlertRules(t *testing.T) {
	for _, args := range [][]string{
		{"check", "rules", "--lint-fatal", "alerts.yml"}, {"test", "rules", "testdata/alerts_test.yml"},
	} {
		out, err := promtool(t, args...).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	}
}

// Each alert has a test in which it fires.
func TestEachAlertIsTested(t *testing.T) {
	rules, err := os.ReadFile("alerts.yml")
	require.NoError(t, err)
	tests, err := os.ReadFile("testdata/alerts_test.yml")
	require.NoError(t, err)
	alerts := regexp.MustCompile(`alert: (\w+)`).FindAllSubmatch(rules, -1)
	require.NotEmpty(t, alerts)
	for _, alert := range alerts {
		assert.Regexp(t, `alertname: `+string(alert[1])+`\n +exp_alerts:`, string(tests))
	}
}

var (
	metricName = regexp.MustCompile(`\bimapgate_[a-z_]+`)
	labelValue = regexp.MustCompile(`\b(reason|outcome|limit|kind)="([^"]*)"`)
)

// All metrics in the dashboard and the rules exist.
func TestDashboardAndRulesNameFiguresThatExist(t *testing.T) {
	c, registry := newCollector(fullOptions())
	c.OnEvent(limits.Event{Kind: limits.EventAdmitted, Command: "FETCH", Waited: time.Second})
	got := text(t, registry)
	for _, file := range []string{"dashboard.json", "alerts.yml"} {
		content, err := os.ReadFile(file)
		require.NoError(t, err)
		names := metricName.FindAllString(string(content), -1)
		require.NotEmpty(t, names)
		for _, name := range names {
			assert.Regexp(t, `(?m)^`+name+`(\{| )`, got, file)
		}
		plain := strings.ReplaceAll(string(content), `\"`, `"`)
		for _, label := range labelValue.FindAllString(plain, -1) {
			assert.Contains(t, got, label, file)
		}
	}
}

func TestDashboardIsOneForGrafana(t *testing.T) {
	content, err := os.ReadFile("dashboard.json")
	require.NoError(t, err)
	var dashboard struct {
		Title, UID string
		Panels     []struct {
			ID         int
			Title      string
			Type       string
			Datasource struct{ UID string }
			GridPos    struct{ H, W, X, Y int }
			Targets    []struct{ Expr string }
		}
	}
	decoder := json.NewDecoder(bytes.NewReader(content))
	require.NoError(t, decoder.Decode(&dashboard))
	assert.NotEmpty(t, dashboard.Title)
	assert.NotEmpty(t, dashboard.UID)
	seen := make(map[int]bool)
	var rules []any
	for _, p := range dashboard.Panels {
		assert.False(t, seen[p.ID], "panel %d is there twice", p.ID)
		seen[p.ID] = true
		assert.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		for _, target := range p.Targets {
			expr := strings.ReplaceAll(target.Expr, "$__rate_interval", "5m")
			record := fmt.Sprintf("panel:%d", len(rules))
			rules = append(rules, map[string]string{"record": record, "expr": expr})
		}
	}
	assert.NotEmpty(t, seen)
	groups, err := json.Marshal(map[string]any{
		"groups": []any{map[string]any{"name": "dashboard", "rules": rules}},
	})
	require.NoError(t, err)
	file := filepath.Join(t.TempDir(), "rules.yml") // JSON is YAML
	require.NoError(t, os.WriteFile(file, groups, 0o600))
	out, err := promtool(t, "check", "rules", file).CombinedOutput()
	assert.NoError(t, err, "%s", out)
}

func TestNilOptionsAreThoseThatLimitNothing(t *testing.T) {
	collector := promlimits.New(nil)
	collector.Watch(limits.New(nil))
	collector.OnEvent(limits.Event{Kind: limits.EventAdmitted, Command: "FETCH", Waited: time.Minute})
	registry := prometheus.NewRegistry()
	require.NoError(t, registry.Register(collector))
	_, err := registry.Gather()
	assert.NoError(t, err)
}
