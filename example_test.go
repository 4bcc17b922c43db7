package imapgate_test

import (
	"crypto/tls"
	"fmt"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

type backend struct{ NewSession limits.NewSessionFunc }

// A server in memory, in which Karen has one folder, and not the folders above it.
func Example() {
	backend := backend{imaptest.Memory(imaptest.User("karen", "#users/bob/Work"))}
	tlsConfig := imaptest.ServerTLS()

	server, err := imapgate.NewServer(&imapgate.Options{
		Server:  imapserver.Options{NewSession: backend.NewSession, TLSConfig: tlsConfig},
		Folders: &vfolders.Options{Prefixes: []string{"#users"}},
		Copy:    &copymeta.Options{Flags: copymeta.Reset},
	})
	if err != nil {
		panic(err)
	}
	listener := imaptest.Listen()
	go server.Serve(tls.NewListener(listener, tlsConfig))
	defer server.Close()
	conn, err := listener.Dial()
	if err != nil {
		panic(err)
	}
	client := imapclient.New(tls.Client(conn, imaptest.ClientTLS()), nil)
	defer client.Close()
	if err := client.Login("karen", "pass").Wait(); err != nil {
		panic(err)
	}
	folders, err := client.List("", "*", nil).Collect()
	if err != nil {
		panic(err)
	}
	for _, folder := range folders {
		fmt.Println(folder.Mailbox)
	}
	fmt.Println(server.Limiter().Stats().Sessions, "session")
	// Output:
	// #users
	// #users/bob
	// #users/bob/Work
	// INBOX
	// 1 session
}

// The guard, without IDLE, for a server of one's own. TLS goes below it.
func ExampleNewListener() {
	limiter := limits.New(limits.DefaultOptions())
	server := imapserver.New(&imapserver.Options{
		NewSession:   limiter.Wrap(imaptest.Memory(imaptest.User("karen"))),
		InsecureAuth: true, // of which the listener makes something that is encrypted
	})
	listener := imaptest.Listen()
	below := tls.NewListener(listener, imaptest.ServerTLS())
	go server.Serve(imapgate.NewListener(below, limiter, idle.Off))
	defer server.Close()

	conn, err := listener.Dial()
	if err != nil {
		panic(err)
	}
	client := imapclient.New(tls.Client(conn, imaptest.ClientTLS()), nil)
	defer client.Close()
	if err := client.Login("karen", "pass").Wait(); err != nil {
		panic(err)
	}
	_, err = client.Idle()
	fmt.Println(client.Caps().Has(imap.CapIdle), err)
	// Output:
	// false imap: BAD Unknown command
}
