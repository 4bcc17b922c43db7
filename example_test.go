package imapgate_test

import (
	"crypto/tls"
	"fmt"
	"log"
	"net"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate"
	"github.com/imapgate/imapgate/copymeta"
	"github.com/imapgate/imapgate/vfolders"
)

// memory stands for your own backend.
type memory struct{ *imapmemserver.Server }

func (m memory) NewSession(
	*imapserver.Conn,
) (imapserver.Session, *imapserver.GreetingData, error) {
	return m.Server.NewSession(), nil, nil
}

// A server in memory, in which Karen has one folder but not its parent folders. It has no
// certificate, so InsecureAuth lets clients log in without TLS.
func Example() {
	karen := imapmemserver.NewUser("karen", "pass")
	karen.Create("#users/bob/Work", nil)
	backend := memory{imapmemserver.New()}
	backend.AddUser(karen)
	var tlsConfig *tls.Config

	server, err := imapgate.NewServer(&imapgate.Options{
		Server: imapserver.Options{
			NewSession: backend.NewSession, TLSConfig: tlsConfig, InsecureAuth: true,
		},
		Folders: &vfolders.Options{Prefixes: []string{"#users"}},
		Copy:    &copymeta.Options{Flags: copymeta.Preserve},
	})
	if err != nil {
		log.Fatal(err)
	}
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
	folders, err := client.List("", "*", nil).Collect()
	if err != nil {
		log.Fatal(err)
	}
	for _, folder := range folders {
		fmt.Println(folder.Mailbox)
	}
	fmt.Println(server.Limiter().Stats().Sessions, "session")
	// Output:
	// #users
	// #users/bob
	// #users/bob/Work
	// 1 session
}
