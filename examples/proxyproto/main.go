// Command proxyproto is an IMAP server behind a proxy that sends the PROXY protocol, such as
// HAProxy. The limits count the address of the client, not that of the proxy. It is a module of its
// own, so that the packages do not depend on go-proxyproto: run it in its folder.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/limits"
)

func main() {
	address := flag.String(
		"listen", "127.0.0.1:1144", "`address` to listen on, a loopback one because there is no TLS",
	)
	trusted := flag.String(
		"trusted", "127.0.0.1,::1",
		"`networks` of the proxies, with commas between them; they must send a header",
	)
	flag.Parse()
	if err := run(*address, strings.Split(*trusted, ",")); err != nil {
		log.Fatal(err)
	}
}

// grace is how long running commands may take at shutdown.
const grace = 10 * time.Second

// run serves until the program gets a signal to stop.
func run(address string, trusted []string) error {
	options := limits.DefaultOptions()
	options.OnEvent = logTo(slog.Default())
	server, err := newServer(options, backend())
	if err != nil {
		return err
	}
	socket, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	listener, err := newListener(socket, trusted)
	if err != nil {
		return errors.Join(err, socket.Close())
	}
	told, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	printTry(socket.Addr().String())
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-told.Done():
		stop() // a second signal ends the program at once
	}
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	return errors.Join(err, server.Shutdown(ctx))
}

// logTo returns what logs events. Of a user name it logs the beginning: a client may send 50 KB.
func logTo(logger *slog.Logger) func(limits.Event) {
	return func(e limits.Event) {
		logger.Info(
			e.Kind.String(), "command", e.Command, "user", fmt.Sprintf("%.64s", e.User), "addr", e.Addr,
			"limit", e.Limit,
		)
	}
}

// printTry prints a command with which the user plays the proxy.
func printTry(address string) {
	const guesses = `PROXY TCP4 192.0.2.7 192.0.2.143 50000 143\r\n` +
		`a LOGIN karen x\r\nb LOGIN karen x\r\nc LOGIN karen x\r\n`
	fmt.Println(
		"Play the proxy of a client that guesses three times, and see whose address is refused:",
	)
	fmt.Printf("(printf '%s'; sleep 1) | curl -sN telnet://%s\n", guesses, address)
}

// newServer returns a server that lets clients log in without TLS.
func newServer(
	options *limits.Options, newSession limits.NewSessionFunc,
) (*imapgate.Server, error) {
	return imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{NewSession: newSession, InsecureAuth: true},
		Limits: options,
	})
}

// backend returns the sessions of a backend in memory with one user.
func backend() limits.NewSessionFunc {
	user := imapmemserver.NewUser("karen", "pass")
	if err := user.Create("INBOX", nil); err != nil {
		panic(err)
	}
	memory := imapmemserver.New()
	memory.AddUser(user)
	return func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return memory.NewSession(), nil, nil
	}
}
