package imapgate_test

import (
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

// Put the guard, without IDLE, in front of your own server. A TLS listener goes below the guard:
// NewListener(tls.NewListener(…), …).
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
