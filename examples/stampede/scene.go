package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/limits"
)

// side says whether the server has limits.
type side int

const (
	unlimited side = iota
	limited
)

func (s side) String() string {
	if s == limited {
		return "with limits"
	}
	return "without limits"
}

// scene is one kind of stampede.
type scene struct {
	title   string
	caption string // a shorter title, for the chart
	command string // what the ordinary user waits for
	play    func(ctx context.Context, s *stage) (result, error)
}

var scenes = []scene{
	{"200 logins of one user at once", "200 logins of one user", "LOGIN", playStorm},
	{"50 FETCH loops of three users", "50 FETCH loops", "FETCH", playFetches},
	{"A SEARCH of 2 s every second", "A SEARCH every second", "SEARCH", playSearches},
	{"250 connections that guess passwords", "250 password guessers", "LOGIN", playGuesses},
}

// result is what was measured on one side: how long the ordinary user waited, and other facts. Both
// sides have the same facts in the same order.
type result struct {
	waits waits
	facts []fact
}

type fact struct{ name, value string }

// act is a scene that has been played on both sides.
type act struct {
	scene
	results [2]result
}

// stage is a server for one scene.
type stage struct {
	dial    dialer
	length  time.Duration // of the scene
	backend *backend
}

const (
	// patience is how much longer than planned a scene may take. It does not end by itself when the
	// sockets are used up.
	patience = 30 * time.Second
	// lastWords is how long the server has to notice that all clients are gone.
	lastWords = 5 * time.Second
)

// on plays the scene against a new server.
func (s scene) on(
	ctx context.Context, m machine, side side, length time.Duration,
) (_ result, err error) {
	backend, err := newBackend(m.hash)
	if err != nil {
		return result{}, err
	}
	listener, err := m.listen()
	if err != nil {
		return result{}, err
	}
	server, err := newServer(side, backend)
	if err != nil {
		return result{}, err
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()

	errTooLong := errors.New(
		"the scene does not end; is there a limit on open files (ulimit -n) below 1000?",
	)
	ctx, cancel := context.WithTimeoutCause(ctx, 3*length+patience, errTooLong)
	dial := func(ctx context.Context, stranger bool) (net.Conn, error) {
		return m.dial(ctx, listener, stranger)
	}
	result, err := s.play(ctx, &stage{dial, length, backend})
	if errors.Is(context.Cause(ctx), errTooLong) {
		err = errors.Join(errTooLong, err)
	}
	cancel()
	backend.store.close()
	listener.Close()
	err = errors.Join(err, <-served, server.Close())
	if !backend.waitUntilEmpty(lastWords) {
		err = errors.Join(err, errors.New("the server still has sessions after the scene"))
	}
	return result, err
}

// newServer returns go-imap's server, or imapgate's with the same options.
func newServer(side side, backend *backend) (server interface {
	Serve(ln net.Listener) error
	Close() error
}, err error) {
	o := imapserver.Options{
		NewSession:   backend.NewSession,
		InsecureAuth: true,
		Logger:       log.New(io.Discard, "", 0), // it would log each client that hangs up
	}
	if side == unlimited {
		return imapserver.New(&o), nil
	}
	return imapgate.NewServer(&imapgate.Options{Server: o, Limits: options()})
}

// options returns the default limits, except MaxFetches, which depends on the backend.
func options() *limits.Options {
	options := limits.DefaultOptions()
	options.MaxFetches = workers
	return options
}
