package imapgate_test

import (
	"crypto/tls"
	"log"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

// A whole program, except for the certificate.
func ExampleServer() {
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
		Folders: &vfolders.Options{Prefixes: []string{"#users"}}, // the roots of shared mailboxes
		Copy:    &copymeta.Options{Flags: copymeta.Preserve},     // a copy has its source's flags
	})
	if err != nil {
		log.Fatal(err)
	}
	go func() { log.Fatal(server.ListenAndServe(":143")) }() // with STARTTLS
	log.Fatal(server.ListenAndServeTLS(":993"))
}
