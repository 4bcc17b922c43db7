package idle_test

import (
	"fmt"
	"log"
	"net"
	"strings"
	"time"

	"github.com/emersion/go-imap/v2"
	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/idle"
)

// A client in IDLE hears of a new message although the backend's own Idle is never called.
func ExampleWrap() {
	karen := imapmemserver.NewUser("karen", "pass")
	karen.Create("INBOX", nil)
	backend := imapmemserver.New()
	backend.AddUser(karen)
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return backend.NewSession(), nil, nil
	}
	newSession = idle.Wrap(newSession, &idle.Options{Mode: idle.Poll, PollInterval: time.Second})
	server := imapserver.New(&imapserver.Options{
		NewSession:   newSession,
		InsecureAuth: true, // an example on the loopback interface
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()

	messages := make(chan uint32, 1)
	client, err := imapclient.DialInsecure(listener.Addr().String(), &imapclient.Options{
		UnilateralDataHandler: &imapclient.UnilateralDataHandler{
			Mailbox: func(data *imapclient.UnilateralDataMailbox) { messages <- *data.NumMessages },
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	client.Login("karen", "pass").Wait()
	client.Select("INBOX", nil).Wait()
	idling, err := client.Idle()
	if err != nil {
		log.Fatal(err)
	}
	karen.Append("INBOX", strings.NewReader("Subject: hello\r\n\r\n"), &imap.AppendOptions{})
	fmt.Println(<-messages, "message")
	idling.Close()
	// Output:
	// 1 message
}
