//! A service on actix-web that answers its orchestrator while its database is brought up to date.

use actix_web::http::StatusCode;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, rt, web};
use diesel::SqliteConnection;
use migrator::{Config, DbProvider, MigrationSet, embed_migrations};

static MIGRATIONS: MigrationSet = embed_migrations!("migrations");
static DB: DbProvider<SqliteConnection> = DbProvider::new(&MIGRATIONS);

/// Whatever the page says, as actix-web, which has an older crate `http`, takes it.
async fn page(request: HttpRequest) -> HttpResponse {
    let answer = migrator::http::answer_async(&DB.health(), request.path()).await;
    let status = StatusCode::from_u16(answer.status().as_u16()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = HttpResponse::build(status);
    for (name, value) in answer.headers() {
        response.append_header((name.as_str(), value.as_bytes()));
    }
    response.body(answer.into_body())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let config = Config::from_env()?;
    let listen = std::env::var("LISTEN").unwrap_or_else(|_| "127.0.0.1:8080".to_owned());
    let app = || App::new().service(web::scope("/internal").default_service(web::get().to(page)));
    let server = HttpServer::new(app).workers(1).bind(listen)?;
    server.addrs().iter().for_each(|address| println!("listening on {address}"));
    std::thread::spawn(|| match DB.init(config) {
        Ok(report) => println!("{report}"),
        Err(error) => eprintln!("error: {error}"),
    });
    rt::System::new().block_on(server.run())?;
    DB.shutdown()?;
    Ok(())
}
