package vfolders_test

import (
	"fmt"
	"log"
	"net"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/vfolders"
)

// Bob may read a folder of Karen's, and neither "#users" nor "#users/Karen" exists.
func Example() {
	user := imapmemserver.NewUser("bob", "pass")
	user.Create("INBOX", nil)
	user.Create("#users/Karen/Inbox", nil) // without a "#users" or "#users/Karen"
	backend := imapmemserver.New()
	backend.AddUser(user)

	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return backend.NewSession(), nil, nil
	}
	newSession = vfolders.Wrap(newSession, &vfolders.Options{Prefixes: []string{"#users"}})
	server := imapserver.New(&imapserver.Options{
		NewSession:   newSession,
		InsecureAuth: true, // an example on the loopback interface
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	defer server.Close()
	go server.Serve(listener)

	client, err := imapclient.DialInsecure(listener.Addr().String(), nil)
	if err != nil {
		panic(err)
	}
	defer client.Close()
	client.Login("bob", "pass").Wait()
	mailboxes, err := client.List("", "%", nil).Collect()
	if err != nil {
		panic(err)
	}
	for _, mailbox := range mailboxes {
		fmt.Println(mailbox.Mailbox, mailbox.Attrs)
	}
	status, err := client.Status("#users/Karen", &imap.StatusOptions{NumMessages: true}).Wait()
	if err != nil {
		panic(err)
	}
	fmt.Println(status.Mailbox, "has", *status.NumMessages, "messages")
	// Output:
	// INBOX []
	// #users [\HasChildren]
	// #users/Karen has 0 messages
}

// The names of mailboxes are known over a restart.
func ExampleOpenHistory() {
	var newSession vfolders.NewSessionFunc // the backend's

	history, err := vfolders.OpenHistory("/var/lib/imap/history", nil)
	if err != nil {
		log.Fatal(err)
	}
	defer history.Close()
	newSession = vfolders.Wrap(newSession, &vfolders.Options{History: history})
	_ = imapserver.New(&imapserver.Options{NewSession: newSession})
}
