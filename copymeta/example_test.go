package copymeta_test

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

	"github.com/imapgate/imapgate/copymeta"
)

func Example() {
	user := imapmemserver.NewUser("karen", "pass")
	user.Create("INBOX", nil)
	user.Create("Archive", nil)
	user.Append("INBOX", strings.NewReader("Subject: hello\r\n\r\n"), &imap.AppendOptions{
		Time:  time.Date(1994, time.July, 3, 20, 21, 22, 0, time.UTC),
		Flags: []imap.Flag{imap.FlagSeen},
	})
	backend := imapmemserver.New()
	backend.AddUser(user)
	newSession := func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
		return backend.NewSession(), nil, nil
	}

	// A copy is unread, as if it had just arrived, but still has its date.
	newSession = copymeta.Wrap(newSession, &copymeta.Options{
		InternalDate: copymeta.Preserve,
		Flags:        copymeta.Reset,
		MaxBytes:     1 << 30,
	})
	server := imapserver.New(&imapserver.Options{
		NewSession:   newSession,
		Caps:         imap.CapSet{imap.CapIMAP4rev1: {}, imap.CapIMAP4rev2: {}},
		InsecureAuth: true,
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
	client.Login("karen", "pass").Wait()
	client.Select("INBOX", nil).Wait()
	copied, err := client.Copy(imap.UIDSetNum(1), "Archive").Wait()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("copied UID", copied.SourceUIDs, "to UID", copied.DestUIDs)

	for _, mailbox := range []string{"INBOX", "Archive"} {
		client.Select(mailbox, nil).Wait()
		items := &imap.FetchOptions{Flags: true, InternalDate: true}
		messages, err := client.Fetch(imap.SeqSetNum(1), items).
			Collect()
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(mailbox, messages[0].Flags, messages[0].InternalDate.UTC().Format(time.DateTime))
	}
	// Output:
	// copied UID 1 to UID 1
	// INBOX [\Seen] 1994-07-03 20:21:22
	// Archive [] 1994-07-03 20:21:22
}
