package idle_test

import (
	"fmt"
	"io"
	"log"
	"net"
	"strings"

	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/idle"
)

// A backend that is polled, and whose own Idle is never called.
func ExampleWrap() {
	backend := imapmemserver.New()
	user := imapmemserver.NewUser("karen", "pass")
	user.Create("INBOX", nil)
	backend.AddUser(user)
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return backend.NewSession(), nil, nil
	}

	server := imapserver.New(&imapserver.Options{
		NewSession:   idle.Wrap(newSession, &idle.Options{Mode: idle.Poll}),
		InsecureAuth: true, // as of go-imap: only on loopback
	})
	defer server.Close()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		log.Fatal(err)
	}
	go server.Serve(ln)

	conn, err := net.Dial("tcp", ln.Addr().String())
	if err != nil {
		log.Fatal(err)
	}
	defer conn.Close()
	io.WriteString(conn, "a LOGIN karen pass\r\nb SELECT INBOX\r\nc IDLE\r\nDONE\r\nd LOGOUT\r\n")
	said, _ := io.ReadAll(conn)
	for line := range strings.Lines(string(said)) {
		if line = strings.TrimSpace(line); strings.HasPrefix(line, "c ") || line[0] == '+' {
			fmt.Println(line)
		}
	}
	// Output:
	// + idling
	// c OK IDLE completed
}
