package imapgate_test

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/limits"
)

// Put the guard, without IDLE, in front of your own server.
func ExampleNewListener() {
	mail := imapmemserver.New()
	mail.AddUser(imapmemserver.NewUser("karen", "pass"))
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return mail.NewSession(), nil, nil
	}
	limiter := limits.New(limits.DefaultOptions())
	server := imapserver.New(&imapserver.Options{
		NewSession:   limiter.Wrap(newSession),
		InsecureAuth: true, // an example on the loopback interface
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(imapgate.NewListener(listener, limiter, idle.Off))
	defer server.Close()

	client, err := imapclient.DialInsecure(listener.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Login("karen", "pass").Wait(); err != nil {
		log.Fatal(err)
	}
	_, err = client.Idle()
	fmt.Println(client.Caps().Has(imap.CapIdle), err)
	// Output:
	// false imap: BAD Unknown command
}

// The same with IDLE, for a port with TLS. The TLS listener goes below the guard.
func ExampleNewListener_tls() {
	mail := imapmemserver.New()
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return mail.NewSession(), nil, nil
	}
	tlsConfig := &tls.Config{} // with your certificate

	limiter := limits.New(limits.DefaultOptions())
	defer limiter.Close()
	server := imapserver.New(&imapserver.Options{
		NewSession:   limiter.Wrap(newSession),
		InsecureAuth: true, // the server does not see that the listener is encrypted
	})
	listener, err := tls.Listen("tcp", ":993", tlsConfig)
	if err != nil {
		log.Fatal(err)
	}
	if err := server.Serve(imapgate.NewListener(listener, limiter, idle.On)); err != nil {
		log.Print(err)
	}
}
