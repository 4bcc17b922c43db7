package limits_test

import (
	"context"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/limits"
)

// Write each event to slog as a structured line, and each wrong password as a line for fail2ban:
//
//	failregex = ^imapgate: wrong password from <ADDR>$
//
// That line has no user name, so a client cannot forge what fail2ban reads. Of a name, which may
// have 50 KB, the other line has the beginning.
func ExampleOptions_onEvent() {
	events := slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	guesses := log.New(os.Stdout, "", 0) // a file, or syslog

	options := limits.DefaultOptions()
	options.OnEvent = func(e limits.Event) {
		if e.Kind == limits.EventFailed {
			guesses.Printf("imapgate: wrong password from %v", e.Addr)
		}
		events.LogAttrs(
			context.Background(), slog.LevelWarn, e.Kind.String(), slog.String("command", e.Command),
			slog.String("user", fmt.Sprintf("%.64s", e.User)), slog.Any("addr", e.Addr),
			slog.String("limit", e.Limit),
		)
	}
	limiter := limits.New(options)
	defer limiter.Close()

	mail := imapmemserver.New()
	mail.AddUser(imapmemserver.NewUser("karen", "pass"))
	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(
			func(*imapserver.Conn) (imapserver.Session, *imapserver.GreetingData, error) {
				return mail.NewSession(), nil, nil
			},
		),
		InsecureAuth: true, // an example on the loopback interface
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
	fmt.Println(client.Login("karen", "1234").Wait())
	// Output:
	// imapgate: wrong password from 127.0.0.1
	// level=WARN msg=failed command=LOGIN user=karen addr=127.0.0.1 limit=""
	// imap: NO [AUTHENTICATIONFAILED] Authentication failed
}

// withoutTime drops the attributes that differ each time.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
