package limits_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"log"
	"log/slog"
	"net"
	"os"
	"os/signal"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/limits"
)

// A backend in memory, on which each user may be logged in twice.
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

// The limiter goes outside everything else, and is closed before the server.
func ExampleLimiter_Wrap() {
	backend := &backend{}
	var tlsConfig *tls.Config
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()

	options := limits.DefaultOptions()
	options.MaxLoginsPerUser = 10
	options.OnEvent = func(e limits.Event) {
		slog.Info("limits", "event", e.Kind, "user", e.User, "addr", e.Addr, "limit", e.Limit)
	}
	limiter := limits.New(options)

	server := imapserver.New(&imapserver.Options{
		NewSession: limiter.Wrap(backend.NewSession),
		TLSConfig:  tlsConfig,
	})
	go server.ListenAndServe(":143")

	<-ctx.Done()
	limiter.Close() // wakes the commands that wait, which server.Close does not
	server.Close()
}

// A file says what differs from the defaults. A key that it has by mistake is an error.
func ExampleOptions_UnmarshalJSON() {
	file := []byte(`{
		"maxLoginsPerUser": 10,
		"fetchQueueTimeout": "20s",
		"exempt": ["192.0.2.0/24"]
	}`)
	options := limits.DefaultOptions()
	if err := json.Unmarshal(file, options); err != nil {
		log.Fatal(err)
	}
	if err := options.Validate(); err != nil {
		log.Fatal(err)
	}
	fmt.Println(options.MaxLoginsPerUser, options.FetchQueueTimeout, options.Exempt)
	fmt.Println(options.MaxFetches, "FETCHes, as before")

	fmt.Println(json.Unmarshal([]byte(`{"maxLogins": 10}`), options))
	// Output:
	// 10 20s [192.0.2.0/24]
	// 50 FETCHes, as before
	// limits: there is no setting "maxLogins"
}
