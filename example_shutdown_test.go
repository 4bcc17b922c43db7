package imapgate_test

import (
	"context"
	"crypto/tls"
	"log"
	"os/signal"
	"syscall"
	"time"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// At SIGTERM the server completes the commands that its clients have sent, and then stops.
func ExampleServer_Shutdown() {
	mail := imapmemserver.New()
	backend := struct{ NewSession limits.NewSessionFunc }{
		func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mail.NewSession(), nil, nil
		},
	}
	tlsConfig := &tls.Config{} // with your certificate

	server, err := imapgate.NewServer(&imapgate.Options{
		Server:  imapserver.Options{NewSession: backend.NewSession, TLSConfig: tlsConfig},
		Limits:  limits.DefaultOptions(),
		Folders: &vfolders.Options{Prefixes: []string{"#users"}},
		Copy:    &copymeta.Options{Flags: copymeta.Preserve},
	})
	if err != nil {
		log.Fatal(err)
	}
	failed := make(chan error, 2)
	go func() { failed <- server.ListenAndServe(":143") }() // with STARTTLS
	go func() { failed <- server.ListenAndServeTLS(":993") }()

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	select {
	case err := <-failed:
		log.Fatal(err)
	case <-ctx.Done():
	}
	patience, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	server.Shutdown(patience) // running commands are completed, every client reads a BYE
}
