package idle_test

import (
	"fmt"
	"log"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/idle"
)

// A server without IDLE, in front of a backend in memory.
func ExampleNewServer() {
	backend := imapmemserver.New()
	backend.AddUser(imapmemserver.NewUser("karen", "pass"))
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return backend.NewSession(), nil, nil
	}
	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Off})
	server := idle.NewServer(&imapserver.Options{
		NewSession:   newSession,
		InsecureAuth: true, // an example on the loopback interface; with a TLSConfig it offers STARTTLS
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()

	client, err := imapclient.DialInsecure(listener.Addr().String(), nil)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	if err := client.Login("karen", "pass").Wait(); err != nil {
		log.Fatal(err)
	}
	fmt.Println("IDLE:", client.Caps().Has(imap.CapIdle))
	_, err = client.Idle()
	fmt.Println(err)
	// Output:
	// IDLE: false
	// imap: BAD Unknown command
}
