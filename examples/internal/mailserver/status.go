package mailserver

import (
	"bufio"
	"bytes"
	"crypto/rand"
	"crypto/subtle"
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
	"strconv"
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
		"loopback `address`, such as 127.0.0.1:8143, of a web page that shows who holds what; "+
			"empty switches it off",
	)
	flags.BoolVar(
		&s.statusAdmin, "status-admin", false,
		"let everybody on this machine end sessions on that page, which has no password",
	)
}

func (s *settings) checkStatus() error {
	if s.status == "" {
		if s.statusAdmin {
			return wrongValue("status-admin", "true", errors.New("it needs -status"))
		}
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
	page := &status{limiter: limiter, started: time.Now()}
	if s.statusAdmin {
		page.token = rand.Text()
	}
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

// status serves what a limiter knows.
type status struct {
	limiter interface {
		Options() *limits.Options
		Stats() limits.Stats
		Sessions() []limits.SessionInfo
		Disconnect(id uint64, text string) bool
	}
	started time.Time
	// token is in each page that can end sessions, and has to come back with the form. Another site
	// can send a form, but cannot read the page. If it is "", no session can be ended.
	token  string
	extend func(mux *http.ServeMux) // nil adds nothing
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
	formAction := "'none'"
	if s.token != "" {
		mux.HandleFunc("POST /disconnect", s.disconnect)
		formAction = "'self'"
	}
	return forThisMachine(http.NewCrossOriginProtection().Handler(mux), formAction)
}

// disconnect ends the session that the form names.
func (s *status) disconnect(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, 1<<10)
	if subtle.ConstantTimeCompare([]byte(r.PostFormValue("token")), []byte(s.token)) == 0 {
		http.Error(w, "Reload the page first.", http.StatusForbidden)
		return
	}
	id, err := strconv.ParseUint(r.PostFormValue("id"), 10, 64)
	if err != nil || !s.limiter.Disconnect(id, "An administrator has ended this session") {
		http.Error(w, "There is no such session any more.", http.StatusNotFound)
		return
	}
	http.Redirect(w, r, "/", http.StatusSeeOther)
}

// forThisMachine refuses requests for another host. A web site could give its own name the address
// of this machine, and would then be allowed to read the answers. It also keeps other sites from
// showing or running them.
func forThisMachine(next http.Handler, formAction string) http.Handler {
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
				"base-uri 'none'; form-action "+formAction+"; frame-ancestors 'none'",
		)
		header.Set("Cross-Origin-Resource-Policy", "same-origin")
		header.Set("Referrer-Policy", "same-origin") // without one a form's Origin is null
		header.Set("X-Content-Type-Options", "nosniff")
		next.ServeHTTP(w, r)
	})
}

// serveJSON answers with the fields of package limits. It writes one session at a time, because all
// together can be megabytes.
func (s *status) serveJSON(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	body := bufio.NewWriter(w)
	defer body.Flush()
	encoder := json.NewEncoder(body)
	body.WriteString(`{"Time": `)
	encoder.Encode(time.Now())
	body.WriteString(`, "Stats": `)
	encoder.Encode(s.limiter.Stats())
	body.WriteString(`, "Sessions": [`)
	for i, session := range s.limiter.Sessions() {
		if i > 0 {
			body.WriteString(", ")
		}
		session.User = visible(session.User)
		if encoder.Encode(session) != nil {
			return // nobody reads it any more
		}
	}
	body.WriteString("]}\n")
}

// serveHTML sends the page when all of it could be made, or else an error.
func (s *status) serveHTML(w http.ResponseWriter, _ *http.Request) {
	page := newStatusPage(
		time.Now(), s.started, s.limiter.Options(), s.limiter.Stats(), s.limiter.Sessions(),
	)
	page.Token = s.token
	var body bytes.Buffer
	if err := statusTemplate.Execute(&body, page); err != nil {
		http.Error(w, "This page cannot be shown.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Write(body.Bytes())
}
