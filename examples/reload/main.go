// Command reload is an IMAP server with its settings in a YAML file, which it reads again at
// SIGHUP. It is a module of its own, so that the packages do not depend on a YAML library: run it
// in its folder. The file settings.go says how options are read.
package main

import (
	"context"
	"errors"
	"flag"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate"
)

func main() {
	address := flag.String(
		"listen", "127.0.0.1:1145", "`address`, a loopback one because there is no TLS",
	)
	path := flag.String("settings", "settings.yaml", "`file` of the settings")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the program at once
	reload := make(chan os.Signal, 1)
	signal.Notify(reload, syscall.SIGHUP)
	if err := run(ctx, *address, *path, reload, log.Default()); err != nil {
		log.Fatal(err)
	}
}

// run serves until ctx is done, and reads the settings again at each signal.
func run(
	ctx context.Context, address, path string, reload <-chan os.Signal, logger *log.Logger,
) error {
	options, err := load(path)
	if err != nil {
		return err
	}
	options.Server = imapserver.Options{NewSession: backend(), InsecureAuth: true}
	server, err := imapgate.NewServer(options)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	logger.Printf("serving %v with %s: log in as karen, password pass", listener.Addr(), path)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	for {
		select {
		case <-reload:
			// If the file has a mistake, nothing changes.
			if err := reread(server, path); err != nil {
				logger.Printf("the settings stay as they are: %v", err)
			} else {
				logger.Printf("new settings from %s", path)
			}
		case err := <-failed:
			return errors.Join(err, server.Close())
		case <-ctx.Done():
			patience, cancel := context.WithTimeout(context.Background(), 10*time.Second)
			defer cancel()
			return server.Shutdown(patience)
		}
	}
}

func reread(server *imapgate.Server, path string) error {
	options, err := load(path)
	if err != nil {
		return err
	}
	return server.SetOptions(options)
}

// backend returns sessions of a backend in memory with one user.
func backend() func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
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
