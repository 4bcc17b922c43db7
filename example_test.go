package imapgate_test

import (
	"crypto/tls"
	"fmt"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"

	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/idle"
	"github.com/imapgate/imapgate/internal/imaptest"
	"github.com/imapgate/imapgate/limits"
	"github.com/imapgate/imapgate/vfolders"
)

type backend struct{ NewSession limits.NewSessionFunc }

// The four packages around a server in memory, in which Karen has one folder, and not the folders
// above it.
func Example() {
	backend := backend{imaptest.Memory(imaptest.User("karen", "#users/bob/Work"))}

	newSession := copymeta.Wrap(backend.NewSession, &copymeta.Options{Flags: copymeta.Reset})
	newSession = vfolders.Wrap(newSession, &vfolders.Options{Prefixes: []string{"#users"}})
	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll})
	limiter := limits.New(limits.DefaultOptions())
	newSession = limiter.Wrap(newSession)
	server := imapserver.New(&imapserver.Options{NewSession: newSession})

	listener := imaptest.Listen()
	go server.Serve(tls.NewListener(listener, imaptest.ServerTLS()))
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
	fmt.Println(limiter.Stats().Sessions, "session")
	// Output:
	// #users
	// #users/bob
	// #users/bob/Work
	// INBOX
	// 1 session
}
