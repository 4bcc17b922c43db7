package mailserver

import (
	"bytes"
	"embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"html/template"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/imapgate/imapgate/limits"
)

//go:embed status
var statusFiles embed.FS

var statusTemplate = template.Must(template.ParseFS(statusFiles, "status/status.html"))

var errNotLoopback = errors.New(
	"it takes a loopback address, such as 127.0.0.1:8143: the page has no password",
)

func statusFlags(flags *flag.FlagSet, s *settings) {
	flags.StringVar(
		&s.status, "status", "",
		"loopback `address`, such as 127.0.0.1:8143, of a web page that shows who holds what; empty switches it off",
	)
}

func (s *settings) checkStatus() error {
	if s.status == "" {
		return nil
	}
	if err := checkAddress("status", s.status); err != nil {
		return err
	}
	if !isLoopbackHost(s.status) {
		return wrongValue("status", s.status, errNotLoopback)
	}
	return nil
}

// isLoopbackHost tells whether host, with a port or without, can only be this machine.
func isLoopbackHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	addr, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && addr.Unmap().IsLoopback() || strings.EqualFold(host, "localhost")
}

// listenStatus opens the address of the status page.
func listenStatus(s *settings, limiter *limits.Limiter, logger *slog.Logger) (*service, error) {
	listener, err := net.Listen("tcp", s.status)
	if err != nil {
		return nil, fmt.Errorf("-status %s: %w", s.status, err)
	}
	if !isLoopback(listener.Addr()) { // whatever this machine takes for localhost
		listener.Close()
		return nil, wrongValue("status", s.status, errNotLoopback)
	}
	page := &status{limiter: limiter, options: &s.limits, started: time.Now()}
	if s.extension.Handle != nil {
		page.extend = func(mux *http.ServeMux) { s.extension.Handle(mux, limiter) }
	}
	server := &http.Server{
		Handler:        page.handler(),
		ReadTimeout:    5 * time.Second, // with the header
		WriteTimeout:   10 * time.Second,
		IdleTimeout:    30 * time.Second,
		MaxHeaderBytes: 16 << 10,
		ErrorLog:       slog.NewLogLogger(logger.Handler(), slog.LevelWarn),
	}
	return &service{listener, server.Serve, server.Close, statusService, true}, nil
}

// status serves what a limiter knows, to be read only.
type status struct {
	limiter interface {
		Stats() limits.Stats
		Sessions() []limits.SessionInfo
	}
	options *limits.Options
	started time.Time
	extend  func(mux *http.ServeMux) // nil adds nothing
}

func (s *status) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.serveHTML)
	mux.HandleFunc("GET /status.json", s.serveJSON)
	for _, name := range []string{"status.css", "status.js"} {
		mux.HandleFunc("GET /"+name, func(w http.ResponseWriter, r *http.Request) {
			http.ServeFileFS(w, r, statusFiles, "status/"+name)
		})
	}
	if s.extend != nil {
		s.extend(mux)
	}
	return forThisMachine(mux)
}

// forThisMachine refuses who asks for another host: a web site somewhere can give its name the
// address of this machine, and would then be allowed to read the answers. It also keeps other sites
// from showing or running them.
func forThisMachine(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !isLoopbackHost(r.Host) {
			http.Error(w, "This page is for this machine only.", http.StatusForbidden)
			return
		}
		header := w.Header()
		header.Set("Cache-Control", "no-store")
		header.Set(
			"Content-Security-Policy",
			"default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; "+
				"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
		)
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "no-referrer")
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// serveJSON answers in the words of package limits.
func (s *status) serveJSON(w http.ResponseWriter, _ *http.Request) {
	sessions := s.limiter.Sessions()
	for i := range sessions {
		sessions[i].User = visible(sessions[i].User)
	}
	write(w, "application/json", func(body *bytes.Buffer) error {
		encoder := json.NewEncoder(body)
		encoder.SetIndent("", "\t")
		return encoder.Encode(struct {
			Time     time.Time
			Stats    limits.Stats
			Sessions []limits.SessionInfo
		}{time.Now(), s.limiter.Stats(), sessions})
	})
}

func (s *status) serveHTML(w http.ResponseWriter, _ *http.Request) {
	page := newStatusPage(time.Now(), s.started, s.options, s.limiter.Stats(), s.limiter.Sessions())
	write(
		w, "text/html; charset=utf-8",
		func(body *bytes.Buffer) error { return statusTemplate.Execute(body, page) },
	)
}

// write sends a body only if it is complete.
func write(w http.ResponseWriter, contentType string, render func(body *bytes.Buffer) error) {
	var body bytes.Buffer
	if err := render(&body); err != nil {
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", contentType)
	w.Write(body.Bytes())
}
