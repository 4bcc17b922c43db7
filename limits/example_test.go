package limits_test

import (
	"fmt"
	"log"
	"net"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/limits"
)

// A backend in memory, where each user may be logged in twice.
func Example() {
	mail := imapmemserver.New()
	mail.AddUser(imapmemserver.NewUser("karen", "pass"))
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return mail.NewSession(), nil, nil
	}

	options := limits.DefaultOptions()
	options.MaxLoginsPerUser = 2
	limiter := limits.New(options)
	server := imapserver.New(&imapserver.Options{
		NewSession:   limiter.Wrap(newSession),
		InsecureAuth: true, // an example on the loopback interface
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(listener)
	defer server.Close()
	defer limiter.Close() // before the server's Close: it wakes the commands that wait

	for range 3 {
		client, err := imapclient.DialInsecure(listener.Addr().String(), nil)
		if err != nil {
			log.Fatal(err)
		}
		defer client.Close()
		fmt.Println(client.Login("karen", "pass").Wait())
	}
	fmt.Println(limiter.Stats().Sessions, "sessions")
	// Output:
	// <nil>
	// <nil>
	// imap: NO [LIMIT] Too many logins for this user
	// 2 sessions
}
