// Command cluster is the example server for several machines, or several times on one. It counts
// logins together with all servers on the same Redis, and exports its figures to Prometheus. It has
// all flags of ../server and some more; -h lists them. It is a module of its own, so that the
// packages depend on neither Redis nor Prometheus.
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/redis/rueidis"

	"github.com/imapgate/imapgate/examples/internal/mailserver"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/limits/promlimits"
	"github.com/imapgate/imapgate/limits/redislimits"
)

func main() { mailserver.Main(extension()) }

// extension is what this server adds to the example server.
func extension() mailserver.Extension {
	n := &node{options: redislimits.DefaultOptions()}
	return mailserver.Extension{Name: "cluster", Flags: n.flags, Open: n.open, Handle: n.handle}
}

// node is one server of the cluster.
type node struct {
	flagSet   *flag.FlagSet
	options   *redislimits.Options
	redis     string
	secret    string
	cluster   *redislimits.Cluster // nil without -redis
	collector *promlimits.Collector
}

func (n *node) flags(flags *flag.FlagSet) {
	o := n.options
	n.flagSet = flags
	flags.StringVar(
		&n.redis, "redis", "",
		"`address` of the Redis that counts logins for all servers, such as 127.0.0.1:6379, "+
			"unix:///run/redis.sock or rediss://user:password@host:6379; without it each counts alone",
	)
	flags.StringVar(
		&o.Node, "node", "", "`name` of this server among all (without: host and process number)",
	)
	flags.StringVar(&o.Prefix, "redis-prefix", o.Prefix, "`text` that begins the keys in Redis")
	flags.DurationVar(
		&o.Lease, "redis-lease", o.Lease,
		"`time` that a session counts when its server is not heard of any more",
	)
	flags.DurationVar(&o.Timeout, "redis-timeout", o.Timeout, "longest `time` a login waits for Redis")
	flags.BoolVar(
		&o.FailClosed, "redis-fail-closed", false,
		"refuse logins that Redis does not count, instead of counting them here alone",
	)
	flags.StringVar(
		&n.secret, "redis-secret", "",
		"`text` of 16 bytes or more that hides names and addresses in Redis",
	)
}

// parseRedis accepts host:port, the path of a Unix socket, or a URL.
func parseRedis(text string) (rueidis.ClientOption, error) {
	switch {
	case strings.HasPrefix(text, "/"):
		text = "unix://" + text
	case !strings.Contains(text, "://"):
		text = "redis://" + text
	}
	o, err := rueidis.ParseURL(text)
	if err != nil { // show neither the error nor the text: they may contain a password
		return o, errors.New("-redis takes an address such as 127.0.0.1:6379 or redis://host:6379")
	}
	return o, nil
}

// open changes the options of the limiter to use the cluster.
func (n *node) open(options *limits.Options, logger *slog.Logger) (close func(), err error) {
	n.collector = promlimits.New(options)
	logged := options.OnEvent
	options.OnEvent = func(e limits.Event) {
		n.collector.OnEvent(e)
		logged(e)
	}
	if n.redis == "" {
		return func() {}, n.checkAlone()
	}
	if n.options.Client, err = parseRedis(n.redis); err != nil {
		return nil, err
	}
	n.options.Secret = []byte(n.secret)
	n.options.Logger = slog.NewLogLogger(logger.Handler(), slog.LevelWarn)
	if n.cluster, err = redislimits.New(n.options); err != nil {
		return nil, err
	}
	options.Cluster = n.cluster
	logger.Info("counting logins with all that use this Redis", "node", n.cluster.Node())
	return func() { n.cluster.Close() }, nil
}

// checkAlone returns an error if there is a flag that has no effect without -redis. A server with
// -redis-fail-closed must not count alone only because the address of the Redis was left out.
func (n *node) checkAlone() (err error) {
	n.flagSet.Visit(func(f *flag.Flag) {
		if f.Name == "node" || strings.HasPrefix(f.Name, "redis-") {
			err = fmt.Errorf("-%s needs -redis", f.Name) // its value may be a secret
		}
	})
	return err
}

// handle adds pages for Prometheus and for the sessions of all servers.
func (n *node) handle(mux *http.ServeMux, limiter *limits.Limiter) {
	n.collector.Watch(limiter)
	registry := prometheus.NewRegistry()
	registry.MustRegister(
		n.collector, collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	)
	mux.Handle("GET /metrics", promhttp.HandlerFor(registry, promhttp.HandlerOpts{}))
	if n.cluster != nil {
		mux.HandleFunc("GET /sessions", n.serveSessions)
	}
}

// serveSessions lists the sessions that are logged in on all servers.
func (n *node) serveSessions(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 5*time.Second)
	defer cancel()
	sessions, err := n.cluster.Sessions(ctx)
	if err != nil {
		http.Error(w, "Redis does not answer.", http.StatusServiceUnavailable)
		return
	}
	var body bytes.Buffer
	table := tabwriter.NewWriter(&body, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NODE\tID\tUSER\tADDRESS\tDOES")
	for _, s := range sessions {
		does := cmp.Or(s.Command, "nothing")
		fmt.Fprintf(
			table, "%s\t%d\t%s\t%s\t%s\n", plain(s.Node), s.ID, plain(s.User), s.Addr, plain(does),
		)
	}
	table.Flush()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Write(body.Bytes())
}

// plain returns a text without control characters: clients choose names, and all that write to the
// Redis may have chosen the rest.
func plain(text string) string { return strings.Trim(strconv.QuoteToGraphic(text), `"`) }
