package imapgate_test

import (
	"context"
	"crypto/tls"
	"log"
	"os"
	"os/signal"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/limits"
)

// Package limits alone, around a server that you already have.
func Example_limits() {
	mail := imapmemserver.New()
	backend := struct{ NewSession limits.NewSessionFunc }{
		func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mail.NewSession(), nil, nil
		},
	}
	tlsConfig := &tls.Config{} // with your certificate
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	limiter := limits.New(limits.DefaultOptions())
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(backend.NewSession),
		TLSConfig:  tlsConfig,
	})
	go func() {
		<-ctx.Done()
		limiter.Close() // wakes the commands that wait
		server.Close()
	}()
	if err := server.ListenAndServe(":143"); err != nil {
		log.Fatal(err)
	}
}
