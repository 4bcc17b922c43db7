package limits_test

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"

	"github.com/emersion/go-imap/v2/imapclient"
	"github.com/emersion/go-imap/v2/imapserver"
	"github.com/emersion/go-imap/v2/imapserver/imapmemserver"

	"github.com/imapgate/imapgate/limits"
)

// admin lists the sessions of a limiter, and disconnects one of them. Put your own access check in
// front of it.
func admin(limiter *limits.Limiter) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) {
		json.NewEncoder(w).Encode(limiter.Sessions())
	})
	mux.HandleFunc("POST /disconnect", func(w http.ResponseWriter, r *http.Request) {
		id, err := strconv.ParseUint(r.FormValue("id"), 10, 64)
		if err != nil || !limiter.Disconnect(id, "Ended by the administrator") {
			http.Error(w, "no such session", http.StatusNotFound)
			return
		}
		fmt.Fprintln(w, "ended")
	})
	return mux
}

// An HTTP handler that shows the sessions and disconnects one. The limiter of an imapgate.Server is
// what its method Limiter returns.
func ExampleLimiter_Disconnect() {
	mail := imapmemserver.New()
	mail.AddUser(imapmemserver.NewUser("karen", "pass"))
	limiter := limits.New(limits.DefaultOptions())
	defer limiter.Close()
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
	if err := client.Login("karen", "pass").Wait(); err != nil {
		log.Fatal(err)
	}

	web := httptest.NewServer(admin(limiter))
	defer web.Close()
	var sessions []limits.SessionInfo
	answer, err := http.Get(web.URL + "/sessions")
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	if err := json.NewDecoder(answer.Body).Decode(&sessions); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(sessions), "session of", sessions[0].User)

	id := strconv.FormatUint(sessions[0].ID, 10)
	answer, err = http.PostForm(web.URL+"/disconnect", url.Values{"id": {id}})
	if err != nil {
		log.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(text))
	<-client.Closed()
	// Output:
	// 1 session of karen
	// ended
}
