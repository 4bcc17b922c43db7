package imapgate_test

import (
	"crypto/tls"
	"log"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// The four packages around a server that you already have, from the innermost to the outermost.
func Example_stack() {
	mail := imapmemserver.New()
	backend := struct{ NewSession limits.NewSessionFunc }{
		func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
			return mail.NewSession(), nil, nil
		},
	}

	tlsConfig := &tls.Config{} // with your certificate

	newSession := copymeta.Wrap(backend.NewSession, &copymeta.Options{Flags: copymeta.Preserve})
	newSession = vfolders.Wrap(newSession, &vfolders.Options{Prefixes: []string{"#users"}})
	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
	limiter := limits.New(limits.DefaultOptions())
	defer limiter.Close()
	newSession = limiter.Wrap(newSession)
	server := imapserver.New(&imapserver.Options{NewSession: newSession, TLSConfig: tlsConfig})
	if err := server.ListenAndServe(":143"); err != nil {
		log.Print(err)
	}
}
