"""The same table behind FastAPI and SQLAlchemy, the way their tutorial shows: a session a request, pydantic models
in and out. Run by uvicorn with uvloop and httptools, one worker:

    DATABASE=... uvicorn fastapi_app:app --port ...
"""
import datetime
import os
import uuid
from typing import List

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, Field
from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, create_engine, event
from sqlalchemy.orm import Session, declarative_base, sessionmaker
from sqlalchemy.types import TypeDecorator

engine = create_engine("sqlite:///" + os.environ["DATABASE"], connect_args={"check_same_thread": False})
SessionLocal = sessionmaker(autocommit=False, autoflush=False, bind=engine)
Base = declarative_base()


@event.listens_for(engine, "connect")
def set_pragmas(connection, record):
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("PRAGMA mmap_size = 1073741824")


class Uuid(TypeDecorator):
    impl = LargeBinary(16)
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return value.bytes if value is not None else None

    def process_result_value(self, value, dialect):
        return uuid.UUID(bytes=value) if value is not None else None


class Micros(TypeDecorator):
    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value, dialect):
        return int(value.timestamp() * 1_000_000)

    def process_result_value(self, value, dialect):
        return datetime.datetime.fromtimestamp(value / 1_000_000, datetime.timezone.utc)


class Post(Base):
    __tablename__ = "posts"
    id = Column(Uuid, primary_key=True, default=uuid.uuid4)
    author = Column(Uuid, index=True)
    title = Column(String)
    body = Column(String)
    visibility = Column(String)
    score = Column(Integer, default=0)
    created_at = Column(Micros)
    updated_at = Column(Micros)
    version = Column(Integer, default=1)


class PostIn(BaseModel):
    author: uuid.UUID
    title: str = Field(min_length=1, max_length=300)
    body: str = Field(max_length=40000)
    visibility: str = Field("public", regex="^(public|followers|private)$")
    score: int = 0


class PostOut(PostIn):
    id: uuid.UUID
    created_at: datetime.datetime
    updated_at: datetime.datetime
    version: int

    class Config:
        orm_mode = True


class PostList(BaseModel):
    data: List[PostOut]
    has_more: bool


def get_db():
    db = SessionLocal()
    try:
        yield db
    finally:
        db.close()


app = FastAPI()


@app.get("/health/live")
async def live():
    return {"status": "pass"}


@app.get("/api/v1/posts/{post_id}", response_model=PostOut)
def read_post(post_id: uuid.UUID, db: Session = Depends(get_db)):
    post = db.query(Post).filter(Post.id == post_id, Post.visibility == "public").first()
    if post is None:
        raise HTTPException(status_code=404)
    return post


@app.get("/api/v1/posts", response_model=PostList)
def list_posts(author: uuid.UUID, limit: int = Query(20, ge=1, le=100), sort: str = "-created_at",
               db: Session = Depends(get_db)):
    posts = (db.query(Post).filter(Post.author == author, Post.visibility == "public")
             .order_by(Post.created_at.desc(), Post.id.desc()).limit(limit + 1).all())
    return {"data": posts[:limit], "has_more": len(posts) > limit}


@app.post("/api/v1/posts", response_model=PostOut, status_code=201)
def create_post(post: PostIn, db: Session = Depends(get_db)):
    now = datetime.datetime.now(datetime.timezone.utc)
    row = Post(**post.dict(), created_at=now, updated_at=now)
    db.add(row)
    db.commit()
    db.refresh(row)
    return row
